"""Generation from the newest checkpoint of a run, on one process, whatever the layout it was trained on.

There is no key/value cache: each new token costs a whole forward pass. It is a look at what a model has learned, not a
server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from megakor.checkpoint.manager import CheckpointManager, Policy
from megakor.config.check_device import is_fp8
from megakor.config.load import load_config
from megakor.config.schema import Config, ParallelConfig
from megakor.corpus.tokenizer import Tokenizer
from megakor.errors import DataError
from megakor.launch.rendezvous import Rendezvous
from megakor.parallel.device import Device, choose_device
from megakor.parallel.topology import start_process_groups, stop_process_groups
from megakor.train.engine import Engine, build_engine
from megakor.train.start import with_vocabulary
from megakor.train.state import model_state, restore_model


def generate(
    directory: Path, prompts: Sequence[str], tokens: int, temperature: float = 0.0, seed: int = 0
) -> list[str]:
    """Each prompt with up to `tokens` more tokens; shorter where the model ends the document.

    Raises:
        DataError: the directory holds no run, or the run has no checkpoint yet.
    """
    path = directory / "config.yaml"
    if not path.is_file():
        raise DataError(f"{path} is not there: {directory} is not the directory of a run.")
    config = with_vocabulary(load_config(path))
    config.parallel = ParallelConfig()
    if is_fp8(config):
        config.train.precision = "bf16"  # FP8 multiplies 16 rows at least, and a prompt has any number of tokens
    tokenizer = Tokenizer.load(config.data.tokenizer)
    # A model of a GPU run may be looked at on a machine that has none.
    device = choose_device("cpu" if config.device == "cpu" else "auto")
    topology = start_process_groups(config.parallel, device, Rendezvous(0, 1, 0))
    try:
        engine = build_engine(config, device, topology, config.train.sequence_length)
        _load_weights(engine, directory, config)
        sampler = torch.Generator().manual_seed(seed)
        return [_continue(engine, tokenizer, prompt, tokens, temperature, sampler, config) for prompt in prompts]
    finally:
        stop_process_groups()


def _load_weights(engine: Engine, directory: Path, config: Config) -> None:
    policy = Policy(verify=config.checkpoint.verify)  # type: ignore[arg-type]
    checkpoints = CheckpointManager(directory / "checkpoints", policy, model=asdict(config.model), layout={})
    choice = checkpoints.newest()
    if choice is None:
        raise DataError(f"{directory / 'checkpoints'} holds no checkpoint yet; train the run first.")
    restore_model(engine, checkpoints.load(choice.checkpoint, model_state(engine)))
    in_force = choice.checkpoint.json_state().get("model", {})  # a phase may have had a RoPE base of its own
    engine.use_rope_base(in_force.get("rope_base", config.model.rope_base))


def _continue(
    engine: Engine,
    tokenizer: Tokenizer,
    prompt: str,
    tokens: int,
    temperature: float,
    sampler: torch.Generator,
    config: Config,
) -> str:
    ids = tokenizer.encode(prompt)
    if not ids:
        raise DataError("the prompt is empty: give at least one character with --prompt.")
    window = config.train.sequence_length
    for _ in range(tokens):
        logits_V = _last_logits(engine.bare_chunks[0], engine.device, ids[-window:])[: tokenizer.vocabulary_size]
        chosen = _choose(logits_V, temperature, sampler)
        if chosen == tokenizer.eod_id:
            break
        ids.append(chosen)
    return tokenizer.decode(ids)


def _last_logits(model: torch.nn.Module, device: Device, ids: list[int]) -> torch.Tensor:
    """Logits [V] of the token after `ids`, float32 on the host."""
    tokens_1S = torch.tensor([ids], device=device.torch)
    positions_1S = torch.arange(len(ids), device=device.torch)[None]
    with device.megatron(), torch.no_grad():
        logits_1SV = model(tokens_1S, positions_1S, None)
    return logits_1SV[0, -1].float().cpu()


def _choose(logits_V: torch.Tensor, temperature: float, sampler: torch.Generator) -> int:
    if temperature <= 0:
        return int(logits_V.argmax())
    probabilities_V = torch.softmax(logits_V / temperature, dim=-1)
    return int(torch.multinomial(probabilities_V, 1, generator=sampler))
