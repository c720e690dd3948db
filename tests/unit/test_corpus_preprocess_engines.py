"""An engine that is caught with other ids in the middle of a build leaves no trace in the shard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from corpus_world import make_tokenizer, small_texts, write_jsonl

from megakor.corpus import preprocess as flow
from megakor.corpus.engines import checked, load
from megakor.corpus.engines.choice import EngineChoice
from megakor.corpus.engines.reference import TokenizersEngine
from megakor.corpus.preprocess import PreprocessOptions, preprocess


class LateEngine(TokenizersEngine):
    """Right in the few texts that a task compares, wrong in whole batches; after some of them it is wrong at once."""

    name = "late"
    batches = 0

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        ids, offsets = super().encode(texts)
        LateEngine.batches += len(texts) > 3
        return (ids + 1 if len(texts) > 3 or LateEngine.batches > 4 else ids), offsets


def test_what_a_caught_engine_had_encoded_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = make_tokenizer(tmp_path)
    texts = small_texts(60)
    source = write_jsonl(tmp_path / "in.jsonl", texts)
    options = PreprocessOptions((str(source),), tmp_path / "right", tokenizer, engine="tokenizers", task_bytes=700)
    preprocess(options, lambda _: None)

    monkeypatch.setitem(checked.FAST_ENGINES, "late", load.FastEngine(LateEngine, ""))
    monkeypatch.setattr(checked, "LEAST_CHECKED", 60)
    monkeypatch.setattr(
        flow, "choose_engine", lambda wanted, *_: EngineChoice("late" if wanted == "auto" else wanted, "0")
    )
    lines: list[str] = []
    preprocess(PreprocessOptions((str(source),), tmp_path / "out", tokenizer, task_bytes=700), lines.append)
    assert any("late gave other ids than tokenizers: " in line and "will be done again" in line for line in lines)
    for suffix in (".bin", ".idx", ".parquet"):
        assert Path(f"{tmp_path}/out{suffix}").read_bytes() == Path(f"{tmp_path}/right{suffix}").read_bytes()
