"""Schedules of published systems can be written down, checked, compiled and read back."""

from pathlib import Path

from config_base import write

from megakor.config.check import check
from megakor.config.load import load_config, save_config
from megakor.config.phases import steps_of
from megakor.config.schema import LrConfig, PhaseConfig, SourceConfig
from megakor.curriculum.schedule import Schedule

WARMUP, STABLE, ANNEAL = 10_000_000_000, 990_000_000_000, 80_000_000_000


def test_twenty_seven_phases_that_end_in_a_longer_context(tmp_path: Path) -> None:
    """As in YuLan-Mini (arXiv 2412.17743): 1.08T tokens, batches of 1,008 x 4,096, an anneal at 28,672."""
    config = load_config(write(tmp_path))
    config.data.sources = {name: SourceConfig(f"nowhere/{name}", name) for name in ("zh", "code", "math", "en")}
    config.lr = LrConfig("wsd", 1e-2, warmup=WARMUP, decay=ANNEAL)
    config.train.tokens, config.train.micro_batch_size = WARMUP + STABLE + ANNEAL, 1
    config.train.sequence_length, config.train.global_batch_size = 4096, 1008 * 4096
    early, late = {"zh": 10, "code": 25.6, "math": 6.5, "en": 57.8}, {"zh": 12, "code": 21.4, "math": 9.8, "en": 56.9}
    stable = [PhaseConfig(f"phase-{n}", 40_000_000_000, early if n <= 10 else late) for n in range(1, 26)]
    anneal = [
        PhaseConfig("phase-26", ANNEAL // 2, {"zh": 11.7, "code": 24.6, "math": 9.3, "en": 54.4}),
        PhaseConfig("phase-27", None, {"zh": 11, "code": 23.8, "math": 10.5, "en": 54.8}, 28_672, rope_base=490_000.0),
    ]
    config.data.phases = [*stable, *anneal]
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(tmp_path / "saved.yaml") == config
    assert not check(config, 1)
    schedule = Schedule.compile(config)
    assert len(schedule.phases) == 27 and schedule.longest_sequence == 28_672
    assert schedule.batch_tokens_at(config.train.tokens - 1) == 144 * 28_672
    assert sum(counted.tokens for counted in steps_of(config)) - config.train.tokens < 1008 * 4096


def test_stages_with_another_batch_length_and_unlearnt_tokens(tmp_path: Path) -> None:
    """As in KORMo (arXiv 2510.09426): two stages, then mid-training on long context and on reasoning."""
    config = load_config(write(tmp_path))
    config.train.tokens, config.train.micro_batch_size = 2_968_030_000_000, 1
    config.train.sequence_length, config.train.global_batch_size = 4096, 4_194_304
    both, back = {"korean": 1.0, "english": 2.0}, {"korean": 1.0, "english": 1.0}
    config.data.phases = [
        PhaseConfig("stage-1", 1_000_000_000_000, both),
        PhaseConfig("stage-2", 1_800_000_000_000, both, weights_end=back),
        PhaseConfig("long", 10_270_000_000, back, 32_768, global_batch_size=8_388_608, rope_base=5e6),
        PhaseConfig("reasoning", None, back, 32_768, loss_mask_tokens=["<think>"]),
    ]
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(tmp_path / "saved.yaml") == config
    assert not check(config, 1)
    assert [span.batch_tokens for span in Schedule.compile(config).phases] == [None, None, 8_388_608, None]
