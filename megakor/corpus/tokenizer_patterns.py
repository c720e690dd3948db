"""The pieces of text that a byte-level BPE may not merge across, as regular expressions.

Three families, each with digits alone or in groups of up to three, and runs of white space together or apart:

* `hangul`, this project's own: a run of Hangul and a run of other letters are pieces apart ("GPU는" is "GPU", "는"), so
  that particles meet foreign words as the same token.
* `llama3`: a word of letters takes the one character before it, be it a space or a bracket. With single digits it is
  the pattern of Qwen2. Source: tokenizer.json of Llama 3 and Qwen2, after cl100k_base of github.com/openai/tiktoken.
* `o200k`: words are cut where capitals begin (`camelCase`), combining marks stay with their letters, contractions with
  their words. Source: o200k_base, tiktoken_ext/openai_public.py of github.com/openai/tiktoken.

The default is `o200k`. Measured on manuals and help pages: 7.7 MB of Korean and of English for training, documents held
out for the figures (0.5 and 1.2 MB), a vocabulary of 32,000; fastokens 0.3.5 on one core, MB of text for each second of
its time (best of 5, taking turns, on a busy machine):

    pieces   bytes/token ko  en      tokens/word ko  en      MB/s ko  en
    o200k    5.898           4.188   1.613           1.505   103      210
    llama3   5.905           4.189   1.611           1.504   114      167
    hangul   5.617           4.041   1.694           1.560    43       30

`hangul` needs 5 % more tokens of Korean and 4 % more of English, and engines do not know it by heart, which costs them
more than half of their speed. The other two are alike in both; `o200k` keeps decomposed characters (a letter and its
marks) in one piece.
"""

from __future__ import annotations

HANGUL, LLAMA3, O200K = "hangul", "llama3", "o200k"
FAMILIES = (O200K, LLAMA3, HANGUL)
RUNS, SINGLE = "runs", "single"
WHITESPACE = (RUNS, SINGLE)
DIGITS = (3, 1)

# Syllables, Jamo of all four blocks, tone marks and half-width letters. Code points, because engines disagree on
# \p{Hangul}: for some it takes the punctuation that is used with Hangul too.
_HANGUL = (
    r"\x{1100}-\x{11FF}\x{302E}\x{302F}\x{3131}-\x{318E}\x{A960}-\x{A97C}\x{AC00}-\x{D7A3}"
    r"\x{D7B0}-\x{D7FB}\x{FFA0}-\x{FFDC}"
)
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_BEFORE = r"[^\r\n\p{L}\p{N}]?"

# Up to the digits, and from the digits to white space; {breaks} takes the line breaks after punctuation.
_WORDS = {
    # The possessive ++ keeps a run of 5,000 letters from exhausting the stack of a backtracking engine.
    HANGUL: rf" ?[{_HANGUL}]+|'(?:s|t|re|ve|m|ll|d)(?!\p{{L}})| ?(?:(?![{_HANGUL}])[\p{{L}}\p{{M}}])++",
    LLAMA3: rf"{_CONTRACTION}|{_BEFORE}\p{{L}}+",
    O200K: rf"{_BEFORE}{_UPPER}*{_LOWER}+{_CONTRACTION}?|{_BEFORE}{_UPPER}+{_LOWER}*{_CONTRACTION}?",
}
_PUNCTUATION = {
    (HANGUL, RUNS): r" ?[^\s\p{L}\p{M}\p{N}]+",
    (HANGUL, SINGLE): r" ?[^\s\p{L}\p{M}\p{N}]+",
    (LLAMA3, RUNS): r" ?[^\s\p{L}\p{N}]+[\r\n]*",
    (LLAMA3, SINGLE): r" ?[^\s\p{L}\p{N}]+",
    (O200K, RUNS): r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
    (O200K, SINGLE): r" ?[^\s\p{L}\p{N}]+/*",
}
_SPACES = {RUNS: r"\s*[\r\n]+|\s+(?!\S)|\s+", SINGLE: r"\s"}
_PUBLISHED = {(LLAMA3, 3, RUNS), (LLAMA3, 1, RUNS), (O200K, 3, RUNS)}
"""Patterns that engines know by heart: theirs, character by character."""


def pieces_pattern(family: str = O200K, digits: int = 3, whitespace: str = RUNS) -> str:
    """The regular expression of a family: every match is one piece.

    family: one of FAMILIES. digits: 3 for groups of up to three, 1 for each digit alone. whitespace: `runs` makes a run
    of blanks or line breaks one piece, which may become one token (indentation, empty lines); with `single` every
    white-space character that no word takes is a piece by itself.
    """
    numbers = r"\p{N}{1,3}" if digits == 3 else r"\p{N}"
    pattern = "|".join((_WORDS[family], numbers, _PUNCTUATION[family, whitespace], _SPACES[whitespace]))
    return pattern if (family, digits, whitespace) in _PUBLISHED else _portable(pattern)


def _portable(pattern: str) -> str:
    r"""The same with white space by its Unicode property: \s of PCRE2 has a character more (U+180E)."""
    inside = pattern.replace(r"[^\s", r"[^\p{White_Space}")
    return inside.replace(r"\s", r"\p{White_Space}").replace(r"\S", r"\P{White_Space}")
