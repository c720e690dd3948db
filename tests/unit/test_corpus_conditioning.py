"""Templates before and after documents: what they may say, and which documents get them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megakor.corpus.fields.conditioning import Conditioning, short_id
from megakor.corpus.fields.draws import draws
from megakor.corpus.fields.template import LONGEST, Template
from megakor.errors import ConfigError


def keys(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.uint64)


def test_fields_are_put_into_the_template_of_each_document() -> None:
    conditioning = Conditioning(prepend="{url} [{quality}]\n", append="\n출처: {source.name}")
    assert conditioning.fields == ("url", "quality", "source.name")
    prefixes, suffixes = conditioning.texts(
        {"url": ["a.kr", "b.kr"], "quality": [3, 0.5], "source.name": ["신문", "책"]}, keys(2)
    )
    assert prefixes == ["a.kr [3]\n", "b.kr [0.5]\n"]
    assert suffixes == ["\n출처: 신문", "\n출처: 책"]


@pytest.mark.parametrize("absent", [None, "", float("nan"), [], [None]])
def test_an_absent_field_drops_the_whole_template_of_that_document_only(absent: object) -> None:
    conditioning = Conditioning(prepend="{url}, {date}\n", append="({url})")
    prefixes, suffixes = conditioning.texts({"url": ["a", "b"], "date": [absent, "2020"]}, keys(2))
    assert prefixes == ["", "b, 2020\n"]
    assert suffixes == ["(a)", "(b)"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (0, "0"),
        (["a", None, 2], "a, 2"),
        ({"b": 1, "a": "가"}, '{"a": "가", "b": 1}'),
        ("{url}", "{url}"),
    ],
)
def test_values_are_written_plainly(value: object, text: str) -> None:
    assert Conditioning(prepend="{field}").texts({"field": [value]}, keys(1))[0] == [text]


def test_half_a_surrogate_pair_becomes_a_replacement_character() -> None:
    prefix = Conditioning(prepend="{title}").texts({"title": ["가\ud800"]}, keys(1))[0][0]
    assert prefix.startswith("가")
    assert "�" in prefix.encode("utf-8").decode("utf-8")


def test_escapes_stand_for_newline_tab_backslash_and_braces() -> None:
    assert Template.parse(r"a\n\t\\n{{x}}", "--prepend").fill([]) == "a\n\t\\n{x}"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{url", "column 1: a lone '{'"),
        ("url}", "column 4: a lone '}'"),
        ("ab {}", "column 4: '{}' names no field"),
        ("{url!r}", "only the name of a field"),
        ("{url:>9}", "only the name of a field"),
        ("{url[0]}", "only the name of a field"),
    ],
)
def test_a_wrong_template_is_refused_with_its_column(template: str, said: str) -> None:
    with pytest.raises(ConfigError, match="--append") as caught:
        Conditioning(append=template)
    assert said in str(caught.value)


def test_a_template_never_reaches_attributes() -> None:
    conditioning = Conditioning(prepend="{url.__class__}")
    assert conditioning.fields == ("url.__class__",)
    assert conditioning.texts({"url.__class__": [None]}, keys(1))[0] == [""]


def test_a_field_that_is_not_read_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'date'.*Read are: url"):
        Conditioning(prepend="{date}").texts({"url": ["a"]}, keys(1))


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_probability_outside_0_and_1_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="--prepend-probability"):
        Conditioning(prepend="a", prepend_probability=share)


def test_the_shares_are_kept_and_drawn_apart() -> None:
    count = 20_000
    conditioning = Conditioning("p", "a", prepend_probability=0.3, append_probability=0.5)
    prefixes, suffixes = (np.array(texts) != "" for texts in conditioning.texts({}, keys(count)))
    assert abs(prefixes.mean() - 0.3) < 0.015
    assert abs(suffixes.mean() - 0.5) < 0.015
    assert abs((prefixes & suffixes).mean() - 0.15) < 0.015


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (1.0, 1000)])
def test_nobody_at_0_and_everybody_at_1(share: float, expected: int) -> None:
    prefixes, _ = Conditioning("p", prepend_probability=share).texts({}, keys(1000))
    assert prefixes.count("p") == expected


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=30, unique=True))
def test_a_document_gets_the_same_text_in_any_batch(numbers: list[int]) -> None:
    conditioning = Conditioning("p", prepend_probability=0.5)
    together = conditioning.texts({}, np.array(numbers, dtype=np.uint64))[0]
    alone = [conditioning.texts({}, np.array([number], dtype=np.uint64))[0][0] for number in numbers]
    assert together == alone


def test_another_seed_chooses_other_documents() -> None:
    assert not np.array_equal(draws(keys(100), 1, "prepend"), draws(keys(100), 2, "prepend"))


def test_a_document_id_comes_from_file_and_position() -> None:
    conditioning = Conditioning(append=" <|doc|>{document_id}")
    assert conditioning.fields == ()
    _, suffixes = conditioning.texts({}, keys(3), "a.jsonl", [0, 7, 9])
    assert suffixes == [f" <|doc|>{short_id('a.jsonl', position)}" for position in (0, 7, 9)]
    assert len(set(suffixes)) == 3
    assert conditioning.texts({}, keys(1), "b.jsonl", [0])[1] != suffixes[:1]


def test_a_document_id_can_come_from_a_field() -> None:
    conditioning = Conditioning(append=" <|doc|>{document_id}", document_id="id")
    assert conditioning.fields == ("id",)
    assert conditioning.texts({"id": [17, None]}, keys(2))[1] == [" <|doc|>17", ""]


def test_a_document_id_that_no_template_asks_for_is_refused() -> None:
    with pytest.raises(ConfigError, match="no template asks"):
        Conditioning(append="{url}", document_id="id")


def test_short_ids_rarely_collide() -> None:
    assert len({short_id("file", position) for position in range(50_000)}) == 50_000


def test_a_template_beyond_sense_is_refused_and_one_at_the_limit_is_not() -> None:
    text = "가" * 21_845 + "a"
    assert len(text.encode()) == LONGEST
    assert Template.parse(text, "--prepend").fill([]) == text
    with pytest.raises(
        ConfigError, match=r"--append '가+'\.\.\.: 65,537 bytes before or after every document"
    ) as refused:
        Conditioning(append=text + "b")
    assert len(str(refused.value)) < 300
