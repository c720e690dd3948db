"""Every shipped configuration passes its dry run, without torch, and the page says what matters."""

import subprocess
import sys
from pathlib import Path

import pytest
from config_base import BASE, write

from megakor.config.check import valid_config
from megakor.config.schema import Config
from megakor.config.summary import checkpoint_bytes, summary_text

CONFIGS = Path(__file__).parents[2] / "configs"
SHIPPED = sorted(CONFIGS.glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_every_shipped_config_passes_its_dry_run_without_warnings(path: Path) -> None:
    config, warnings = valid_config(path)
    assert warnings == []
    text = summary_text(config)
    assert max(len(line) for line in text.splitlines()) <= 100
    assert all(
        label in text for label in ("Model", "Layout", "Batch", "Budget", "Learning rate", "Checkpoints", "Phase")
    )


def test_the_page_of_the_10b_run_has_its_figures() -> None:
    text = summary_text(valid_config(CONFIGS / "pretrain_10b.yaml")[0])
    for figure in (
        "10.76B parameters (10,756,624,384)",
        "64 ranks = tensor 4 x pipeline 1 x context 1 x data 16\n",
        "sequence parallel, distributed optimizer\n",
        "4Mi tokens = 1,024 sequences of 4,096: 64 micro-batches of 1 on each of 16 copies",
        "4Mi tokens = 128 sequences of 32,768: 8 micro-batches of 1",
        "2968.03B tokens in 707,634 steps",
        "keeps the newest 3 and every 200B; about 151 GB each",
        "10 of 10 data paths",
    ):
        assert figure in text


def test_the_long_phase_of_the_10b_run_fits_another_layout() -> None:
    config, _ = valid_config(CONFIGS / "pretrain_10b.yaml", ["parallel.context=4"])
    assert "context 4 x data 4" in summary_text(config)


def test_what_phases_have_of_their_own_for_rows_and_rope_is_said(tmp_path: Path) -> None:
    main = "    - {name: main, weights: {korean: 0.5, english: 0.5}}\n"
    long = "{name: long, weights: {korean: 1}, rope_base: 5e5, mask: none, loss_mask_tokens: [<think>]}"
    text = BASE.replace(main, f"    - {{name: main, tokens: 500K, weights: {{korean: 1}}}}\n    - {long}\n")
    config, _ = valid_config(write(tmp_path, text))
    assert "Rows\n  long: mask none, no loss for <think>, RoPE base 500,000\n" in summary_text(config)


def test_a_dry_run_imports_neither_torch_nor_megatron() -> None:
    code = (
        "import sys; from megakor.config.check import valid_config; from megakor.config.summary import summary_text;"
        "print(summary_text(valid_config(sys.argv[1])[0]));"
        "sys.exit(sum(name in sys.modules for name in ('torch', 'megatron', 'numpy')))"
    )
    command = [sys.executable, "-c", code, str(CONFIGS / "pretrain_10b.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "10.76B parameters" in done.stdout


def test_tokens_are_summed_per_source_and_language(tmp_path: Path) -> None:
    overrides = [
        "train.tokens=819200",
        "data.phases=[{name: a, tokens: 409600, weights: {korean: 1, english: 3}}, {name: b, weights: {korean: 1}}]",
    ]
    lines = summary_text(valid_config(write(tmp_path), overrides)[0]).splitlines()
    columns = {line.split()[0]: line.split()[1:] for line in lines if line.startswith(("korean", "english"))}
    assert columns["korean"] == ["ko", "102.4K", "25%", "409.6K", "100%", "512K", "62%"]
    assert columns["english"] == ["en", "307.2K", "75%", "-", "307.2K", "38%"]


def test_warnings_stand_at_the_end_of_the_page(tmp_path: Path) -> None:
    config, warnings = valid_config(write(tmp_path), ["parallel.distributed_optimizer=true"])
    assert "warning: parallel.distributed_optimizer" in summary_text(config, warnings=warnings)


def test_the_number_of_evaluations_and_checkpoints_counts_both_ends(tmp_path: Path) -> None:
    overrides = ["evaluation={every: 250K, early: [50K, 250K]}", "checkpoint.every=300K"]
    text = summary_text(valid_config(write(tmp_path), overrides)[0])
    assert "6 times: at 0, every 250K, 1 more early and at the end" in text
    assert "4: every 300K and at the end" in text


def test_the_number_of_evaluations_counts_those_of_phases_and_of_their_controllers(tmp_path: Path) -> None:
    phases = (
        "{name: first, tokens: 400K, weights: {korean: 1}},"
        "{name: second, weights: {korean: 1}, evaluation: {every: 100K, early: [10K]}}"
    )
    text = summary_text(valid_config(write(tmp_path), [f"data.phases=[{phases}]", "evaluation.every=200K"])[0])
    # 0, 200K, 400K, 410K, 500K and on to 900K, 1M
    assert "10 times: at 0, every 200K and at the end" in text
    assert "of the phases, 1 with a grid of its own" in text
    steered = "{name: only, weights: {korean: 1, english: 1}, reweighting: {every: 250K, strength: 0.1}}"
    text = summary_text(valid_config(write(tmp_path), [f"data.phases=[{steered}]", "evaluation.every=500K"])[0])
    assert "5 times: at 0, every 500K and at the end" in text
    assert "of the phases, 1 also where controllers decide" in text


def test_many_phases_are_shown_in_several_tables(tmp_path: Path) -> None:
    phases = ", ".join(f"{{name: phase{index}, tokens: 100K, weights: {{korean: 1}}}}" for index in range(10))
    text = summary_text(valid_config(write(tmp_path), [f"data.phases=[{phases}]"])[0])
    assert text.count("Tokens of") == 2
    assert all(f"phase{index} " in text for index in range(10))


def test_checkpoints_hold_weights_and_the_state_of_the_optimizer() -> None:
    config = Config()
    config.model.vocabulary_multiple = 1
    config.train.precision = "bf16"
    sixteen_bits = checkpoint_bytes(config, 1000)
    config.train.precision = "fp32"
    assert sixteen_bits / checkpoint_bytes(config, 1000) == pytest.approx(14 / 12)
