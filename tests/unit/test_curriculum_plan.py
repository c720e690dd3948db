"""The plan of a run says what the stream then reads."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from data_worlds import BLOCK, schedule_of, virtual_source, world, write_shard
from hypothesis import given, settings
from hypothesis import strategies as st

from megakor.config.phases import PhaseSteps, phases_of, steps_of
from megakor.config.ramp import Ramp
from megakor.config.schema import Config
from megakor.config.schema_data import PhaseConfig, SourceConfig, SubsetConfig
from megakor.corpus.manifest import read_manifest
from megakor.curriculum.plan import Closing, Plan, Supply, plan_of
from megakor.curriculum.plan_text import plan_lines
from megakor.data.mixture import DataExhaustedError
from megakor.data.stream import TokenStream
from megakor.data.supply import dry_run_plan, supplies_of

NAMES = ("ko", "en", "web")


def config_of(*phases: PhaseConfig, tokens: int, batch: int = 128) -> Config:
    config = Config()
    config.data.sources = {name: SourceConfig(name, name[:2]) for name in NAMES}
    config.data.phases = list(phases)
    config.train.tokens, config.train.global_batch_size, config.train.sequence_length = tokens, batch, BLOCK
    return config


weights = st.lists(st.floats(0.05, 1.0), min_size=3, max_size=3).map(lambda w: dict(zip(NAMES, w, strict=True)))
PHASES = st.lists(st.tuples(st.integers(200, 3000), weights, st.none() | weights), min_size=1, max_size=3)


@settings(max_examples=40, deadline=None)
@given(phases=PHASES, caps=st.lists(st.none() | st.integers(1, 120), min_size=3, max_size=3))
def test_the_stream_reads_what_the_plan_says(
    phases: list[tuple[int, dict[str, float], dict[str, float] | None]], caps: list[int | None]
) -> None:
    """To a few rows a source for each phase and each source that is closed, caps and the early end included."""
    given_phases = [PhaseConfig(f"p{i}", tokens, w, weights_end=end) for i, (tokens, w, end) in enumerate(phases)]
    total = sum(tokens for tokens, _, _ in phases)
    blocks = dict(zip(NAMES, caps, strict=True))
    sources = world(*(virtual_source(n, [(c or 100) * BLOCK + 1], epochs=c and 1.0) for n, c in blocks.items()))
    supplies = {
        name: Supply((count or 100) * BLOCK, 10, math.inf if count is None else count * BLOCK)
        for name, count in blocks.items()
    }
    plan = plan_of([counted for counted in steps_of(config_of(*given_phases, tokens=total)) if counted.steps], supplies)
    stream = TokenStream(sources, schedule_of(sources, given_phases, total=total, batch=128), 4)
    read = dict.fromkeys(NAMES, 0)
    try:
        while stream.tokens_consumed < total:
            for name, tokens in stream.next_batch().realised.items():
                read[name] += tokens
    except DataExhaustedError:
        assert plan.ends_at is not None and abs(plan.ends_at - stream.tokens_consumed) <= 128
        return
    assert plan.ends_at is None or stream.tokens_consumed - plan.ends_at <= 128
    rows = (1 + math.log(3)) * (1 + len(plan.closings))
    for name, tokens in plan.totals().items():
        assert abs(read[name] - tokens) <= rows * BLOCK


def one_phase(shares: dict[str, float], tokens: int, ramp: Ramp | None = None) -> list[PhaseSteps]:
    [span] = phases_of(config_of(PhaseConfig("main", None, shares), tokens=tokens))
    return [PhaseSteps(replace(span, ramp=ramp), tokens // 128, tokens)]


def test_what_happens_at_a_cap_is_said() -> None:
    supplies = {"ko": Supply(1000, 50, 500), "en": Supply(5000, 70)}
    plan = plan_of(one_phase({"ko": 1, "en": 1}, 4000), supplies)
    assert plan.totals() == {"ko": 500, "en": 3500}
    assert plan.closings == [Closing("ko", "main", 1000, "redistribute", ("en",))]
    text = "\n".join(plan_lines(plan, supplies, {"ko": "ko", "en": "en"}))
    assert "ko comes to its cap at 1,000 tokens, in main: from there on its share goes to en" in text
    table = [line.split() for line in text.splitlines()]
    assert ["main", "ko", "ko", "500", "12.50%", "0.500", "0.500", "25"] in table
    assert ["en", "en", "3.5K", "87.50%", "0.700", "0.700", "49"] in table


@pytest.mark.parametrize(("mode", "words"), [("stop", "the run stops there"), ("fail", "the run fails there")])
def test_a_source_may_end_the_run_at_its_cap(mode: str, words: str) -> None:
    supplies = {"ko": Supply(1000, 50, 500, mode), "en": Supply(5000, 70)}
    plan = plan_of(one_phase({"ko": 1, "en": 1}, 4000), supplies)
    assert plan.ends_at == 1000 and plan.totals() == {"ko": 500, "en": 500}
    assert words in "\n".join(plan_lines(plan, supplies, {"ko": "ko", "en": "en"}))


def test_a_run_that_runs_out_of_text_says_where() -> None:
    supplies = {"ko": Supply(1000, 50, 500), "en": Supply(5000, 70, 900)}
    plan = plan_of(one_phase({"ko": 1, "en": 1}, 4000), supplies)
    assert plan.ends_at == 1400
    assert "No source is left at 1,400 tokens" in "\n".join(plan_lines(plan, supplies, {"ko": "ko", "en": "en"}))


def test_a_ramp_is_planned_by_its_integral() -> None:
    plan = plan_of(one_phase({"ko": 1}, 4000, Ramp({"en": 1.0}, "linear", 0, 4000)), {})
    assert plan.totals() == pytest.approx({"ko": 2000, "en": 2000})
    assert isinstance(plan, Plan) and plan.ends_at is None


def real_config(directory: Path) -> Config:
    config = config_of(PhaseConfig("main", None, rule="unimax", max_epochs=2), tokens=2560)
    for name, count in zip(NAMES, (20, 60, 200), strict=True):
        write_shard(directory / name, [[1] * 10] * count)
        config.data.sources[name].path = str(directory / name)
    return config


def test_a_dry_run_plans_with_the_sizes_of_the_shards_that_are_here(tmp_path: Path) -> None:
    config = real_config(tmp_path)
    text = "\n".join(dry_run_plan(config))
    # 192 tokens of ko in whole blocks, at most twice; the others share the rest equally.
    table = [line.split() for line in text.splitlines()]
    assert ["main", "ko", "ko", "384", "15.00%", "2.000", "2.000", "38"] in table
    assert ["web", "we", "1.088K", "42.50%", "0.548", "0.548", "109"] in table
    config.train.tokens = 100_000
    assert "none: data.phases.0: UniMax shall divide 100K tokens" in "\n".join(dry_run_plan(config))


def test_a_dry_run_without_the_shards_says_what_it_would_need(tmp_path: Path) -> None:
    config = real_config(tmp_path)
    (tmp_path / "en.bin").unlink()
    assert "this machine has none of en" in "\n".join(dry_run_plan(config))
    config.data.phases = [PhaseConfig("main", weights={"ko": 1, "en": 1})]
    assert any("?" in line for line in dry_run_plan(config))
    for name in NAMES:
        (tmp_path / f"{name}.idx").unlink()
    assert dry_run_plan(config) == []


def test_manifests_alone_are_enough(tmp_path: Path) -> None:
    config = config_of(PhaseConfig("main", weights={"ko": 1}), tokens=2560)
    config.data.sources = {"ko": SourceConfig(str(tmp_path / "ko"), "ko", epochs=1.5, subset=SubsetConfig(200))}
    record = {
        "format": "megakor-shard-1", "tokenizer_sha256": "a" * 64, "vocabulary_size": 100, "language": "ko",
        "tokens": 1001, "documents": 50, "text_bytes": 4000, "dtype": "uint16", "bin_bytes": 2002, "idx_bytes": 100,
        "append_eod": True, "inputs": [], "holdout_share": 0.0, "role": "training",
    }  # fmt: skip
    (tmp_path / "ko.json").write_text(json.dumps(record))
    assert read_manifest(tmp_path / "ko") is not None
    supplies, notes = supplies_of(config)
    assert supplies == {"ko": Supply(192, 10, 288, "redistribute")} and not notes
