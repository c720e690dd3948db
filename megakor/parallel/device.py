"""Which device a run is on, and why; and the context in which megatron-core may be called there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from megakor.errors import HardwareError
from megakor.parallel.cpu_backend import cpu_backend


@dataclass(frozen=True)
class Device:
    """What a run computes on."""

    kind: str
    """"cuda" or "cpu"."""
    reason: str
    """Why, for the log."""

    @property
    def torch(self) -> torch.device:
        """The device of this process's tensors."""
        return torch.device("cuda", torch.cuda.current_device()) if self.kind == "cuda" else torch.device("cpu")

    @property
    def backend(self) -> str:
        """The torch.distributed backend."""
        return "nccl" if self.kind == "cuda" else "gloo"

    def megatron(self) -> AbstractContextManager[None]:
        """Enter this around calls into megatron-core."""
        return contextlib.nullcontext() if self.kind == "cuda" else cpu_backend()


def choose_device(wish: str, local_rank: int = 0) -> Device:
    """Resolve `device: auto|cuda|cpu` and select the CUDA device of this rank.

    Raises:
        HardwareError: CUDA was asked for and is not there.
    """
    available = torch.cuda.is_available()
    if wish == "cuda" and not available:
        raise HardwareError("device: cuda was asked for, but torch finds no CUDA device. Use device: auto or cpu.")
    if wish == "cpu" or not available:
        return Device("cpu", "device: cpu" if wish == "cpu" else "device: auto, and torch finds no CUDA device")
    if local_rank >= torch.cuda.device_count():
        raise HardwareError(
            f"local rank {local_rank} has no CUDA device of its own: this node has {torch.cuda.device_count()}. "
            "Start at most one rank per device."
        )
    torch.cuda.set_device(local_rank)
    return Device("cuda", f"{torch.cuda.get_device_name(local_rank)}")


def to_host(values: torch.Tensor) -> Callable[[], list[float]]:
    """Begin to bring numbers [N] to the host; whoever asks for them waits for them, no longer than needed."""
    if values.device.type == "cpu":
        return values.tolist
    on_host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    on_host.copy_(values, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record()

    def read() -> list[float]:
        arrived.synchronize()
        return on_host.tolist()

    return read
