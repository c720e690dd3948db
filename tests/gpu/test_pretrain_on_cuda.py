"""`megakor pretrain` on a GPU, killed and resumed; generation from what it leaves, and `megakor doctor`."""

from __future__ import annotations

import pytest
from real_runs import STEPS, World, build_world, kill_when, train_lines
from running import EVERY_TIME_THE_SAME, SMALL

ENVIRONMENT = {**EVERY_TIME_THE_SAME, **SMALL}

LARGER = (
    "device=cuda",
    "model.hidden_size=128",
    "model.ffn_hidden_size=256",
    "model.vocabulary_multiple=128",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("precision", ["bf16", "fp8_tensorwise", "fp8_blockwise"])
def test_a_run_that_is_killed_computes_what_an_uninterrupted_one_does(world: World, precision: str) -> None:
    words = (*LARGER, f"train.precision={precision}")
    calm, killed = f"calm-{precision}", f"killed-{precision}"
    ended = world.megakor("pretrain", "run.yaml", f"run.dir=runs/{calm}", *words, **ENVIRONMENT)
    assert ended.code == 0, ended.err
    process = world.start("pretrain", "run.yaml", f"run.dir=runs/{killed}", *words, **ENVIRONMENT)
    assert kill_when(process, lambda: train_lines(world.run_dir(killed)) >= 7), "it ended before"
    ended = world.megakor("pretrain", "run.yaml", f"run.dir=runs/{killed}", *words, **ENVIRONMENT)
    assert ended.code == 0, ended.err
    assert [line["name"] for line in world.lines(killed, "event")].count("resume") == 1
    assert world.losses(killed) == world.losses(calm)
    assert list(world.losses(calm)) == list(range(1, STEPS + 1))
    assert world.validation(killed) == world.validation(calm)
    assert all(line["device_peak_bytes"] > 0 for line in world.lines(calm, "train"))


def test_a_model_of_the_gpu_generates_on_both_devices(world: World) -> None:
    world.pretrain("generating", *LARGER, "train.precision=bf16")
    config = world.run_dir("generating") / "config.yaml"
    for device in ("cuda", "cpu"):
        config.write_text(config.read_text().replace("device: cuda", f"device: {device}"))
        ended = world.megakor("generate", "runs/generating", "--prompt=the", "--tokens", "4")
        assert ended.code == 0, ended.err
        assert ended.out.startswith("the")


def test_doctor_names_the_device_and_transformer_engine(world: World) -> None:
    ended = world.megakor("doctor")
    assert "cuda:0" in ended.out
    assert "transformer-engine" in ended.out
    assert ended.code == 0, ended.out
