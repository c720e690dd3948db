"""Whatever a fast engine does, the ids are those of the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from corpus_world import make_tokenizer, small_texts

from megakor.corpus.engines import checked, load
from megakor.corpus.engines.checked import CHECKED_CHARACTERS, CheckedEngine
from megakor.corpus.engines.definition import Definition
from megakor.corpus.engines.reference import TokenizersEngine


class PanicException(BaseException):  # as the bindings of Rust libraries raise it
    pass


class WaywardEngine(TokenizersEngine):
    """Right but for texts with marked words."""

    name = "wayward"

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        ids, offsets = super().encode(texts)
        if any("panic" in text for text in texts):
            raise PanicException("a bug")
        return (ids + 1 if any("wrong" in text for text in texts) else ids), offsets


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def engine(tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> CheckedEngine:
    monkeypatch.setitem(checked.FAST_ENGINES, "wayward", load.FastEngine(WaywardEngine, ""))
    return CheckedEngine("wayward", tokenizer)


def right(tokenizer: Path, texts: list[str]) -> tuple[list[int], list[int]]:
    ids, offsets = load.load_reference(tokenizer).encode(texts)
    return ids.tolist(), offsets.tolist()


def found(engine: CheckedEngine, texts: list[str]) -> tuple[list[int], list[int]]:
    ids, offsets = engine.encode(texts)
    return ids.tolist(), offsets.tolist()


def test_an_engine_that_agrees_is_kept(engine: CheckedEngine, tokenizer: Path) -> None:
    engine.begin_task()
    texts = small_texts(40)
    assert found(engine, texts) == right(tokenizer, texts)
    assert engine.name == "wayward" and not engine.notes


def test_other_ids_in_the_first_documents_leave_the_task_to_the_reference(
    engine: CheckedEngine, tokenizer: Path
) -> None:
    engine.begin_task()
    texts = [*small_texts(3), "wrong"]
    assert found(engine, texts) == right(tokenizer, texts)
    assert engine.name == "tokenizers"
    assert engine.notes[0].startswith("wayward was left for tokenizers: other ids for ")
    assert found(engine, ["wrong"]) == right(tokenizer, ["wrong"])
    engine.begin_task()
    assert engine.name == "tokenizers" and engine.notes, "an engine that was caught is not used again"


def test_the_check_goes_on_over_batches_until_enough_was_compared(engine: CheckedEngine, tokenizer: Path) -> None:
    engine.begin_task(1 << 30)
    engine.encode(["a" * (CHECKED_CHARACTERS - 10)])
    assert found(engine, ["wrong"]) == right(tokenizer, ["wrong"])


def test_what_is_beyond_the_check_is_the_engines_own(engine: CheckedEngine, tokenizer: Path) -> None:
    engine.begin_task()
    engine.encode(["a" * CHECKED_CHARACTERS])
    assert found(engine, ["wrong"]) != right(tokenizer, ["wrong"])


def test_a_text_that_the_engine_does_not_take_is_left_to_the_reference(engine: CheckedEngine, tokenizer: Path) -> None:
    engine.begin_task()
    engine.encode(["a" * CHECKED_CHARACTERS])
    texts = ["one", "panic", "two", "panic again", ""]
    assert found(engine, texts) == right(tokenizer, texts)
    assert engine.name == "wayward"
    assert engine.notes == ["wayward left texts to tokenizers: it fails to encode: a bug"]


def test_an_engine_that_does_not_load_leaves_everything_to_the_reference(
    tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(definition: Definition) -> TokenizersEngine:
        raise PanicException("no such pattern")

    monkeypatch.setitem(checked.FAST_ENGINES, "wayward", load.FastEngine(refuse, ""))
    engine = CheckedEngine("wayward", tokenizer)
    engine.begin_task()
    assert found(engine, ["one"]) == right(tokenizer, ["one"])
    assert engine.notes == ["wayward is not used: it does not take this tokenizer: no such pattern"]


def test_an_interrupt_is_not_taken_for_a_failure(tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(definition: Definition) -> TokenizersEngine:
        raise KeyboardInterrupt

    monkeypatch.setitem(checked.FAST_ENGINES, "wayward", load.FastEngine(interrupt, ""))
    with pytest.raises(KeyboardInterrupt):
        CheckedEngine("wayward", tokenizer)
