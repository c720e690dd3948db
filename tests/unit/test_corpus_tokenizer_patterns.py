"""Patterns of pieces: they leave nothing out, and mean the same to every engine."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from megakor.corpus.tokenizer_patterns import DIGITS, FAMILIES, HANGUL, LLAMA3, O200K, RUNS, SINGLE, WHITESPACE
from megakor.corpus.tokenizer_patterns import pieces_pattern as pattern

EVERY = list(product(FAMILIES, DIGITS, WHITESPACE))


def split(text: str, family: str, digits: int = 3, whitespace: str = RUNS) -> list[str]:
    splitter = pre_tokenizers.Split(Regex(pattern(family, digits, whitespace)), "removed", invert=True)
    return [piece for piece, _ in splitter.pre_tokenize_str(text)]


@pytest.mark.parametrize(("family", "digits", "whitespace"), EVERY)
def test_every_character_is_in_a_piece(family: str, digits: int, whitespace: str) -> None:
    splitter = pre_tokenizers.Split(Regex(pattern(family, digits, whitespace)), "removed", invert=True)

    @settings(deadline=None, max_examples=60)
    @given(text=st.text(max_size=40))
    def nothing_is_lost(text: str) -> None:
        assert "".join(piece for piece, _ in splitter.pre_tokenize_str(text)) == text

    nothing_is_lost()


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (HANGUL, ["GPU", "는", " don", "'t", " camelCase", " (", "값", ")", "\n\n", "   ", " x", " ", "123", "45"]),
        (LLAMA3, ["GPU는", " don", "'t", " camelCase", " (", "값", ")\n\n", "   ", " x", " ", "123", "45"]),
        (O200K, ["GPU는", " don't", " camel", "Case", " (", "값", ")\n\n", "   ", " x", " ", "123", "45"]),
    ],
)
def test_where_each_family_cuts(family: str, expected: list[str]) -> None:
    assert split("GPU는 don't camelCase (값)\n\n    x 12345", family) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_digits_and_white_space_alone(family: str) -> None:
    assert split("12 34", family, digits=1)[-2:] == ["3", "4"]
    assert split("a.\n\n   b", family, whitespace=SINGLE) == ["a", ".", "\n", "\n", " ", " ", " b"]


@pytest.mark.parametrize("family", [HANGUL, O200K])
def test_decomposed_characters_stay_in_one_piece(family: str) -> None:
    assert split("cafe\u0301s \u1112\u1161\u11ab\u302e", family) == ["cafe\u0301s", " \u1112\u1161\u11ab\u302e"]


def test_published_patterns_are_character_by_character_what_engines_know() -> None:
    assert pattern(LLAMA3) == (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    assert pattern(LLAMA3, digits=1) == pattern(LLAMA3).replace(r"\p{N}{1,3}", r"\p{N}")
    assert pattern(O200K) == (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


@pytest.mark.parametrize(("family", "digits", "whitespace"), EVERY)
def test_patterns_use_nothing_that_engines_read_differently(family: str, digits: int, whitespace: str) -> None:
    text = pattern(family, digits, whitespace)
    assert "&&" not in text  # class intersection: only some know it
    assert r"\b" not in text  # which characters make a word differs
    assert "Hangul" not in text  # the script, or the script and its extensions
    known_by_heart = (family, digits, whitespace) in {(LLAMA3, 3, RUNS), (LLAMA3, 1, RUNS), (O200K, 3, RUNS)}
    assert known_by_heart or r"\s" not in text  # U+180E
