"""The three experiments in a short form: what they promise about their own conduct, not what they find."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from real_runs import PATIENCE, Ended, kill_when

from megakor.corpus.row_file import RowFile
from megakor.corpus.shard import ShardReader
from megakor.report.metrics import read_metrics

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[2] / "benchmarks" / "experiments"
SEED = 11


class Laboratory:
    """A directory where the experiments stand beside each other and share what is prepared."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def start(self, script: str, *words: str) -> subprocess.Popen[str]:
        arguments = ["--short", "--seeds", str(SEED), "--output", str(self.output(script)), *words]
        return subprocess.Popen(
            [sys.executable, str(SCRIPTS / f"{script}.py"), *arguments],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, script: str, *words: str) -> Ended:
        process = self.start(script, *words)
        out, err = process.communicate(timeout=PATIENCE)
        return Ended(process.returncode, out, err)

    def done(self, script: str, *words: str) -> None:
        ended = self.run(script, *words)
        assert ended.code == 0, ended.err

    def output(self, script: str) -> Path:
        return self.directory / script

    def report(self, script: str) -> str:
        return (self.output(script) / "report" / "report.md").read_text(encoding="utf-8")

    def measured(self, script: str) -> dict[Path, int]:
        """The metrics of all runs, and how long they are."""
        return {path: path.stat().st_size for path in self.output(script).rglob("metrics.jsonl")}


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    return Laboratory(tmp_path_factory.mktemp("experiments"))


@pytest.fixture(scope="module")
def ratios(laboratory: Laboratory) -> Laboratory:
    laboratory.done("cmr", "--steps", "pilot")
    refused = laboratory.run("cmr", "--steps", "confirm")
    assert refused.code == 2 and "nothing was predicted" in refused.err and "Traceback" not in refused.err
    laboratory.done("cmr")
    return laboratory


@pytest.fixture(scope="module")
def gaps(ratios: Laboratory) -> Laboratory:
    ratios.done("stability_gap")
    return ratios


@pytest.fixture(scope="module")
def packed(ratios: Laboratory) -> Laboratory:
    process = ratios.start("crosslingual")
    checkpoints = ratios.output("crosslingual") / "pilot"
    assert kill_when(process, lambda: any(checkpoints.rglob("manifest.json")))
    ratios.done("crosslingual")
    return ratios


def first_time(runs: list[Path]) -> float:
    assert runs
    return min(read_metrics(path)[0]["time"] for path in runs)


def test_ratios_are_predicted_before_they_are_run(ratios: Laboratory) -> None:
    home = ratios.output("cmr") / f"seed-{SEED}"
    foretold = json.loads((home / "predictions.json").read_text(encoding="utf-8"))
    confirming = [path for path in home.rglob("metrics.jsonl") if "sweep" not in path.parts]
    assert foretold["written_at"] < first_time(confirming)
    assert max(path.stat().st_mtime for path in (home / "sweep").rglob("metrics.jsonl")) < foretold["written_at"]
    keys = [one["key"] for one in foretold["predictions"]]
    assert sum("loss at 0.375" in key for key in keys) == 4
    report = ratios.report("cmr")
    assert not [key for key in keys if not re.search(rf"^\| {re.escape(key)} \|.*(met|missed)", report, re.MULTILINE)]


def test_every_strategy_has_a_row_and_every_prediction_an_outcome(gaps: Laboratory) -> None:
    report = gaps.report("stability_gap")
    for name in ("plain", "subset_epochs", "best_subset", "pretraining_mixture", "stability_gap"):
        assert re.search(rf"^\| {name} \| \d+Ki \|( -?\d\.\d+ \|){{5}}$", report, re.MULTILINE)
    home = gaps.output("stability_gap")
    foretold = json.loads((home / "predictions.json").read_text(encoding="utf-8"))
    assert foretold["written_at"] < first_time(list((home / f"seed-{SEED}").rglob("metrics.jsonl")))
    assert len(re.findall(r"(met|\*\*missed\*\*) \|$", report, re.MULTILINE)) == len(foretold["predictions"])


def test_two_models_read_the_same_tokens_and_differ_in_their_mask_and_the_third_in_its_rows(packed: Laboratory) -> None:
    home = packed.output("crosslingual") / f"seed-{SEED}"
    models = ("document", "xlda", "one-language")
    read, first = {}, {}
    for model in models:
        lines = read_metrics(home / model / "metrics.jsonl")
        read[model] = [(line["tokens"], line["batch_tokens"]) for line in lines if line["kind"] == "train"]
        starts = [line for line in lines if line["kind"] == "validation" and line["tokens"] == 0]
        first[model] = sorted((line["source"], line["loss"]) for line in starts)
    assert read["document"] == read["xlda"]
    assert len(read["one-language"]) == pytest.approx(len(read["xlda"]), rel=0.1), "as many steps, of as many tokens"
    assert first["document"] == first["xlda"] == first["one-language"]
    paths = [home / "configs" / f"{model}.yaml" for model in models]
    assert different(paths[0], paths[1]) == [("mask: isolated", "mask: document")]
    ((_, rows),) = different(paths[1], paths[2])
    assert rows.endswith("/rows-of-one-language")
    assert len(re.findall(r"(met|\*\*missed\*\*) \|$", packed.report("crosslingual"), re.MULTILINE)) == 9


def different(one: Path, two: Path) -> list[tuple[str, str]]:
    """Lines in which two configs differ, but for where their runs go."""
    lines = [[line.strip() for line in path.read_text(encoding="utf-8").splitlines()] for path in (one, two)]
    return [pair for pair in zip(*lines, strict=True) if pair[0] != pair[1] and not pair[0].startswith("dir:")]


def test_rows_of_one_language_hold_every_document_once_and_are_one_segment(packed: Laboratory) -> None:
    parallel = packed.directory / "prepared" / "parallel"
    file = RowFile(parallel / "rows-of-one-language")
    rows = [file.row(number) for number in range(len(file))]
    assert {len(set(row.languages)) for row in rows} == {len(row.segment_starts) for row in rows} == {1}
    begun = Counter(row.languages[0] for row in rows for offset in row.offsets if offset == 0)
    assert begun == {language: ShardReader(parallel / f"training-{language}").documents for language in ("en", "ko")}
    mixed = RowFile(parallel / "rows")
    assert {len(set(mixed.row(number).languages)) for number in range(len(mixed))} == {2}


def test_a_run_that_was_killed_went_on(packed: Laboratory) -> None:
    pilots = (packed.output("crosslingual") / "pilot").rglob("metrics.jsonl")
    assert any(line.get("name") == "resume" for path in pilots for line in read_metrics(path))


@pytest.mark.parametrize("script", ["cmr", "stability_gap", "crosslingual"])
def test_the_same_command_again_trains_nothing_and_tells_the_same(
    script: str, gaps: Laboratory, packed: Laboratory
) -> None:
    del packed
    report, measured = gaps.report(script), gaps.measured(script)
    gaps.done(script)
    assert gaps.report(script) == report
    assert gaps.measured(script) == measured
    assert list((gaps.output(script) / "report").glob("*.png"))


def test_the_seed_of_the_pilot_is_never_reported(laboratory: Laboratory) -> None:
    refused = laboratory.run("crosslingual", "--seeds", "1")
    assert refused.code == 2 and "seed 1 is the pilot's" in refused.err
