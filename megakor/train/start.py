"""From a checked config to a running loop: what needs torch before the process groups exist."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace

from megakor.config.check import check
from megakor.config.problems import raise_errors
from megakor.config.schema import Config
from megakor.config.vocabulary import vocabulary_size
from megakor.corpus.tokenizer import Tokenizer
from megakor.errors import ConfigError, ExitCode
from megakor.resilience.listener import StopListener


def start(config: Config, world_size: int, listener: StopListener) -> ExitCode:
    """Train; returns the exit code."""
    # Read by the CUDA driver when it starts: with one queue, communication is not scheduled behind the products it
    # should overlap with (megatron-core asks for it with tensor parallelism before Blackwell).
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "1")
    import torch

    raise_errors(check(config, world_size, cuda_available=torch.cuda.is_available()))
    import_libraries(config.device)
    from megakor.train.pretrain import pretrain

    return pretrain(with_vocabulary(config), listener)


def import_libraries(device: str) -> None:
    """Import megatron-core before any of our modules does: quietly, and on a CPU without what torch.compile needs.

    Raises:
        HardwareError: the run is on a CPU and the installed megatron-core is one that its backend does not know.
    """
    quiet_libraries()
    import torch

    if device == "cpu" or not torch.cuda.is_available():
        from megakor.parallel.cpu_backend import import_megatron_core

        import_megatron_core()


def quiet_libraries() -> None:
    """Keep what torch and megatron-core tell their own authors (deprecations, absent accelerators) from the user's
    terminal."""
    warnings.filterwarnings("ignore", module=r"(torch|megatron|transformer_engine)(\.|$)")
    # megatron-core looks at the gradients of what are no leaves; torch says so where the CPU backend calls on.
    warnings.filterwarnings("ignore", message=r"The \.grad attribute of a Tensor")


def with_vocabulary(config: Config) -> Config:
    """The config with the tokenizer's vocabulary size filled in.

    Raises:
        DataError: the tokenizer is missing or damaged.
        ConfigError: model.vocabulary_size is set, and smaller than the tokenizer's.
    """
    tokenizer = Tokenizer.load(config.data.tokenizer)
    size = vocabulary_size(config)
    if size is None or size < tokenizer.vocabulary_size:
        raise ConfigError(
            f"model.vocabulary_size is {size}, but the tokenizer {config.data.tokenizer} has "
            f"{tokenizer.vocabulary_size} tokens. Leave the key out, or set it to at least that."
        )
    return replace(config, model=replace(config.model, vocabulary_size=size))
