"""Texts at which tokenizer libraries part: odd characters, odd spaces, tokens spelt in the text, long runs."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

_LINES = (
    "the The THE don't DON'T I'll we'RE it's IT'S o'clock 's 'S '\u017f \u017f \u212aelvin \u212a \u212b \u0130stanbul",
    "\ufb01 \u01c5 \u00df \u1e9e \u2126 na\u00efve caf\u00e9 cafe\u0301 n\u0303 \ufdfd Ελλάδα Привет",
    "हिन्दी ไทย עברית العربية \uff76\uff85 \U0001d49c\U0001d4eb \U00010348 漢字 かな カナ 一 〇",
    "한국어는 GPU를 대한민국의 값이 3개월간 1,234.5원 ㅋㅋㅋㅋ ㅠㅠ 뷁 똠방각하 힣 가",
    "\u1100\u1161 \u1112\u119e\u11ab글 ㈜ ㎏ \u00bd \u00b2 Ⅷ ① \u0663 \u09ea \U0001f1f0\U0001f1f7",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd \u2764\ufe0f \U0001f3f4\U000e0067 #\ufe0f\u20e3",
    "http://a.b/c?d=e&f=%20 <b>x</b> {'k':[1,-2.5e+10]} a_b __init__ x++ --- ... …… !!! ?! «» “q” 「인용」 $1 €2 ₩3",
    "<unk> <s> </s> [INST] [MASK] <|im_start|> <|endoftext| |endoftext|> <0x0A> <0x20> ▁ ▁▁a Ġ Ċ ĠĠ ## ##a </w>",
)
_WORDS = [word for line in _LINES for word in line.split()]
_SPACES = (
    *" \t\n\r\v\f\x00\x07\x1b\x1c\x1f\x7f\x85\xa0\u00ad\u1680\u180e\u2000\u2003\u2009\u200b\u200c\u200d\u2028\u2029",
    *"\u202f\u205f\u2060\u3000\u3164\uffa0\ufeff\ufffd\ufffe\uffff\U0010ffff",
    *("  ", "   ", "\r\n", "\n\n", " \n", "\n ", "\t\n\t", "\r\r\n", "    \n    "),
)
_RANGES = (
    *((0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x5FF), (0x900, 0xDFF), (0x1100, 0x11FF), (0x2000, 0x2BFF)),
    *((0x3000, 0x318F), (0x3190, 0x33FF), (0x4E00, 0x9FFF), (0xA960, 0xA97F), (0xAC00, 0xD7A3), (0xD7B0, 0xD7FF)),
    *((0xE000, 0xFFFF), (0x10000, 0x1FFFF), (0x20000, 0x10FFFF), (0x00, 0x9F)),
)
# Where letters, marks, numbers, punctuation and spaces of all kinds lie: no ideographs, syllables or private use.
_KINDS = ((0x01, 0x33FF), (0xA4D0, 0xABFF), (0xD7B0, 0xD7FF), (0xF900, 0xFFFF), (0x1D400, 0x1D7FF), (0x1F100, 0x1F1FF))
_RUNS = (
    "a",
    "A",
    "가",
    "ㅋ",
    "ᄀ",
    "ᅡ",
    "\u0301",
    "1",
    "٣",
    " ",
    "\t",
    "\n",
    "\r\n",
    "-",
    "!",
    "_",
    "🙂",
    "\u200d",
    "\x00",
    "ab",
    "가나",
    " a",
    "' ",
    "'s",
)


def adversarial_texts(tokens: Sequence[str] = (), count: int = 2000, seed: int = 0) -> list[str]:
    """At least `count` texts: fixed ones, then random ones, the same for the same arguments.

    tokens: special and added tokens of the tokenizer and pieces of its vocabulary, to be spelt inside texts.
    """
    chance = random.Random(seed)
    words = (*_WORDS, *tokens)
    texts = ["", *words, *_SPACES, *(f"a{space}b{space}" for space in _SPACES)]
    texts += [run * length for run in _RUNS for length in (2, 3, 17, 300)]
    texts += ["가" * 5000, "a" * 5000, " " * 5000 + "x", "\n" * 3000, "0123456789" * 200, "Ab" * 2000]
    makers: tuple[Callable[[random.Random, Sequence[str]], str], ...] = (_mixed, _mixed, _unicode, _hangul, _any)
    texts += [chance.choice(makers)(chance, words) for _ in range(count - len(texts))]
    return texts


def every_kind(characters_a_text: int = 50) -> list[str]:
    """Each character outside the large blocks between letters, digits and spaces: do engines class it alike?"""
    codes = [code for first, last in _KINDS for code in range(first, last + 1)]
    spots = [f"{chr(code)}a{chr(code)} 1{chr(code)}" for code in codes]
    return ["".join(spots[i : i + characters_a_text]) for i in range(0, len(spots), characters_a_text)]


def _mixed(chance: random.Random, words: Sequence[str]) -> str:
    """Words and odd spaces, sometimes glued together."""
    parts = []
    for _ in range(chance.randint(1, 24)):
        parts.append(chance.choice(words))
        parts.append(chance.choice((" ", " ", "", chance.choice(_SPACES))))
    return "".join(parts)


def _unicode(chance: random.Random, words: Sequence[str]) -> str:
    """Characters of a few blocks, with a word among them."""
    blocks = [chance.choice(_RANGES) for _ in range(chance.randint(1, 3))]
    characters = [_character(chance, *chance.choice(blocks)) for _ in range(chance.randint(1, 40))]
    characters.insert(chance.randrange(len(characters) + 1), chance.choice(words))
    return "".join(characters)


def _hangul(chance: random.Random, words: Sequence[str]) -> str:
    """Syllables beside Jamo, half-built syllables, marks, digits and Latin letters."""
    blocks = ((0xAC00, 0xD7A3), (0xAC00, 0xD7A3), (0x1100, 0x11FF), (0x3130, 0x318F), (0x300, 0x30F), (0x30, 0x7A))
    pieces = [_character(chance, *chance.choice(blocks)) for _ in range(chance.randint(1, 30))]
    return "".join(piece + chance.choice(("", "", "", " ", chance.choice(_SPACES))) for piece in pieces)


def _any(chance: random.Random, words: Sequence[str]) -> str:
    """Characters from anywhere."""
    return "".join(_character(chance, 0, 0x10FFFF) for _ in range(chance.randint(1, 24)))


def _character(chance: random.Random, first: int, last: int) -> str:
    code = chance.randint(first, last)
    return chr(code) if not 0xD800 <= code <= 0xDFFF else chr(code - 0x2000)  # surrogates are no characters
