"""Items of probes: what is read from a file, how texts become spans of tokens, and rows that hold many of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megakor.corpus.tokenizer import Tokenizer
from megakor.data.probe_items import ChoiceItem, read_items
from megakor.data.probe_rows import lay_out
from megakor.data.probe_texts import UNSCORED, ScoredText, choice_texts, copying_texts
from megakor.data.rows import PADDING_SEGMENT
from megakor.errors import DataError

GOOD = {"question": "하늘은", "choices": [" 파랗다", " 빨갛다"], "answer": 0, "language": "ko", "domain": "general"}


class Pairs(Tokenizer):
    """One token a character, but "ab" is one token (0) too; 1 stands for nothing."""

    def __init__(self) -> None:
        super().__init__(None, "pairs")

    vocabulary_size = 256

    def token_id(self, token: str) -> int | None:
        return None

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text.replace("ab", "\0")]

    def encode_batch(self, texts: object) -> list[list[int]]:
        raise NotImplementedError

    def decode(self, ids: object) -> str:
        raise NotImplementedError

    def contents(self) -> list[bytes]:
        return [b"ab", b"", *(bytes([number]) for number in range(2, 256))]

    def fragments(self) -> np.ndarray:
        raise NotImplementedError


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def test_the_first_items_of_a_file_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "items.jsonl", GOOD, "", {**GOOD, "answer": 1, "domain": None}, GOOD)
    first, second = read_items(path, 2)
    assert first == ChoiceItem("하늘은", (" 파랗다", " 빨갛다"), 0, "ko", "general")
    assert (second.answer, second.domain) == (1, "")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "not a JSON object"),
        ("[]", "not a JSON object"),
        ({**GOOD, "question": " "}, '"question"'),
        ({**GOOD, "choices": ["one"]}, "at least two"),
        ({**GOOD, "choices": ["one", "one"]}, "the same"),
        ({**GOOD, "answer": 2}, "from 0 to 1"),
        ({**GOOD, "answer": "A"}, "from 0 to 1"),
        ({**GOOD, "answer": True}, "from 0 to 1"),
        ({**GOOD, "language": 3}, '"language" must be a text'),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: object, words: str) -> None:
    with pytest.raises(DataError, match=r"items\.jsonl:2: ") as raised:
        read_items(write(tmp_path / "items.jsonl", GOOD, line), 5)
    assert words in str(raised.value)


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
def test_a_file_without_items_is_said_so(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "items.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"items\.jsonl"):
        read_items(path, 5)


def test_the_tokens_of_a_choice_are_scored_and_one_across_the_border_is_its() -> None:
    plain, across = choice_texts(ChoiceItem("xa", (" y", "bz"), 0), Pairs(), 99)
    assert plain.spans.tolist() == [UNSCORED, UNSCORED, 0, 0]
    assert across.tokens.tolist() == [ord("x"), 0, ord("z")]
    assert across.spans.tolist() == [UNSCORED, 0, 0]


def test_a_long_question_loses_its_beginning_and_a_long_choice_is_refused() -> None:
    text, _ = choice_texts(ChoiceItem("0123456789", ("xyz", "u"), 0), Pairs(), 5)
    assert text.tokens.tolist() == [ord(letter) for letter in "89xyz"]
    with pytest.raises(DataError, match="has 5 tokens"):
        choice_texts(ChoiceItem("0123456789", ("vwxyz", "u"), 0), Pairs(), 5)
    with pytest.raises(DataError, match="cannot be told apart"):
        choice_texts(ChoiceItem("a", ("b", "c"), 0), Pairs(), 5)


def test_copies_are_the_same_random_tokens_twice() -> None:
    first, second = copying_texts("copying", 2, 30, Pairs())
    assert first.tokens[:30].tolist() == first.tokens[30:].tolist() != second.tokens[:30].tolist()
    assert first.tokens.tolist() == copying_texts("copying", 1, 30, Pairs())[0].tokens.tolist()
    assert first.tokens.tolist() != copying_texts("another", 1, 30, Pairs())[0].tokens.tolist()
    assert 1 not in first.tokens
    assert [int((first.spans == span).sum()) for span in (UNSCORED, 0, 1)] == [2, 29, 29]
    assert first.spans[30] == UNSCORED


@given(st.lists(st.tuples(st.integers(2, 9), st.integers(1, 8)), min_size=1, max_size=12), st.integers(8, 20))
def test_every_scored_token_of_every_text_stands_in_the_rows_once(sizes: list[tuple[int, int]], length: int) -> None:
    texts, number = [], 0
    for size, scored in sizes:
        tokens = np.arange(number, number + size)
        texts.append(ScoredText(tokens, np.where(np.arange(size) >= max(1, size - scored), 0, UNSCORED)))
        number += size
    rows = lay_out(texts, length)
    found = {}
    for row, place in np.argwhere(rows.rows.loss_mask_BS > 0):
        found[int(rows.rows.labels_BS[row, place])] = int(rows.spans_RS[row, place])
        # What precedes it inside its segment is the text up to it, whole.
        segment = rows.rows.segments_BS[row] == rows.rows.segments_BS[row, place]
        before = rows.rows.tokens_BS[row][segment & (np.arange(length) <= place)]
        text = texts[rows.spans_RS[row, place]]
        assert before.tolist() == text.tokens[: len(before)].tolist()
        assert rows.rows.positions_BS[row, place] == len(before) - 1
    wanted = {int(token): index for index, text in enumerate(texts) for token in text.tokens[text.spans == 0]}
    assert found == wanted
    assert rows.counts.tolist() == [int((text.spans == 0).sum()) for text in texts]


def test_rows_are_taken_with_padding() -> None:
    rows = lay_out([ScoredText(np.arange(5), np.array([-1, -1, 0, 0, 1]))] * 3, 8)
    assert rows.count == 2
    batch, spans = rows.take([1, None])
    assert spans.tolist() == [[0, 4, 4, 5, 0, 0, 0, 0], [0] * 8]
    assert batch.loss_mask_BS.tolist() == [[0, 1, 1, 1, 0, 0, 0, 0], [0] * 8]
    assert batch.segments_BS[1].tolist() == [PADDING_SEGMENT] * 8
