"""Members of a team come and go without taking the ground from each other."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from corpus_world import make_tokenizer, small_texts, write_jsonl

from megakor.corpus.build.gate import gate
from megakor.corpus.build.team import Kind, Team
from megakor.corpus.preprocess import PreprocessOptions, preprocess
from megakor.errors import StorageError
from megakor.lock import lock_directory


def quiet(line: str) -> None:
    """Says nothing."""


@pytest.fixture
def options(tmp_path: Path) -> PreprocessOptions:
    inputs = [write_jsonl(tmp_path / f"{number}.jsonl", small_texts(20)) for number in range(2)]
    return PreprocessOptions(
        tuple(map(str, inputs)), tmp_path / "shards" / "out", make_tokenizer(tmp_path), engine="tokenizers"
    )


def names(options: PreprocessOptions) -> set[str]:
    return {path.name for path in options.output_prefix.parent.iterdir()}


def test_one_at_a_time_is_inside_and_nothing_stays_behind(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def visit(number: int) -> None:
        with gate(tmp_path / "out.work", Team(), quiet):
            inside.append(number)
            time.sleep(0.002)
            most.append(len(inside))
            inside.remove(number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(visit, range(16)))
    assert most == [1] * 16
    assert list(tmp_path.iterdir()) == []


def test_the_work_of_a_member_that_is_late_is_not_taken_away(options: PreprocessOptions) -> None:
    work = options.output_prefix.with_name("out.work")
    late = lock_directory(work, "", "lock.1-of-2")
    builder = threading.Thread(target=preprocess, args=(options, quiet))
    builder.start()
    while not (work / "publish.all.json").exists():
        assert builder.is_alive()
        time.sleep(0.01)
    time.sleep(0.1)
    assert "out.idx" not in names(options)
    late.close()
    builder.join()
    assert names(options) == {"out.bin", "out.idx", "out.parquet", "out.json"}


@pytest.mark.parametrize("together", [True, False])
def test_a_member_that_comes_when_all_is_done_brings_nothing_to_life_again(
    options: PreprocessOptions, together: bool
) -> None:
    made = preprocess(options, quiet)
    late = Team(3, 4, Kind.SRUN if together else Kind.ARRAY, together)
    assert preprocess(options, quiet, late) == made
    assert names(options) == {"out.bin", "out.idx", "out.parquet", "out.json"}


def test_a_build_that_is_at_work_is_not_overwritten_by_another(options: PreprocessOptions) -> None:
    work = options.output_prefix.with_name("out.work")
    with lock_directory(work, "", "lock.0-of-4"):
        (work / "job.json").write_text(json.dumps({"options": {"append_eod": True}, "inputs": []}))
        with pytest.raises(StorageError, match=r"out\.work is in use by a build that differs"):
            preprocess(PreprocessOptions(**{**vars(options), "overwrite": True}), quiet)
        assert (work / "job.json").exists()
    preprocess(PreprocessOptions(**{**vars(options), "overwrite": True}), quiet)
    assert names(options) == {"out.bin", "out.idx", "out.parquet", "out.json"}


def test_members_of_an_array_in_any_order_complete_the_build_once(options: PreprocessOptions) -> None:
    made = [preprocess(options, quiet, Team(rank, 3, Kind.ARRAY, together=False)) for rank in (2, 0, 1)]
    assert [len(manifests) for manifests in made] == [0, 0, 1]
    assert names(options) == {"out.bin", "out.idx", "out.parquet", "out.json"}
