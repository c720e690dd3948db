"""The ranks that are examined together, and how they meet: a rank that does not come is named."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch.distributed as dist

from megakor.doctor.places import Place, described, rank_words
from megakor.errors import HardwareError
from megakor.launch.rendezvous import Rendezvous

T = TypeVar("T")
PATIENCE_SECONDS = 60.0
"""How long a rank waits for the others to come. Slurm starts the tasks of a step within seconds."""


class World:
    """This rank among all. Every method is collective; objects that travel are small."""

    def __init__(self, rank: int = 0, size: int = 1, group: dist.ProcessGroup | None = None) -> None:
        """`group` is one on the CPU (gloo); a world of one rank has none."""
        self.rank = rank
        self.size = size
        self.group = group
        self.places: list[Place] = self.gather(Place(rank, socket.gethostname()))

    @property
    def here(self) -> Place:
        """This rank and its node."""
        return self.places[self.rank]

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in rank order, on every rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self.group)
        return values

    def from_first(self, value: T) -> T:
        """The first rank's value, on every rank."""
        return self.gather(value)[0]


@contextmanager
def met(rendezvous: Rendezvous, patience: float = PATIENCE_SECONDS) -> Iterator[World]:
    """Join the other ranks for an examination, without megatron-core and without CUDA.

    Raises:
        HardwareError: the first rank cannot be reached, or some rank does not come; says which.
    """
    if rendezvous.world_size == 1:
        yield World()
        return
    store = _open_store(rendezvous, timedelta(seconds=patience))
    _wait_for_all(store, rendezvous, patience)
    rank, size = rendezvous.rank, rendezvous.world_size
    dist.init_process_group("gloo", store=dist.PrefixStore("doctor", store), rank=rank, world_size=size)
    try:
        yield World(rank, size, dist.group.WORLD)
    finally:
        dist.destroy_process_group()


def _open_store(rendezvous: Rendezvous, patience: timedelta) -> dist.Store:
    host, port = os.environ.get("MASTER_ADDR", "127.0.0.1"), os.environ.get("MASTER_PORT", "")
    # torchrun serves the store itself.
    serves = rendezvous.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    try:
        return dist.TCPStore(host, int(port), rendezvous.world_size, serves, patience, wait_for_workers=False)
    except (ValueError, RuntimeError) as error:  # torch's DistError is a RuntimeError
        raise HardwareError(
            f"rank {rendezvous.rank} on {socket.gethostname()} cannot reach the first rank at {host}:{port} "
            f"({str(error).splitlines()[0]}). Is the port in use, a firewall between the nodes, or MASTER_ADDR wrong?"
        ) from error


def _wait_for_all(store: dist.Store, rendezvous: Rendezvous, patience: float) -> None:
    keys = [f"come/{rank}" for rank in range(rendezvous.world_size)]
    store.set(keys[rendezvous.rank], socket.gethostname())
    try:
        store.wait(keys, timedelta(seconds=patience))
    except RuntimeError as error:
        came = {rank for rank, key in enumerate(keys) if store.check([key])}
        here = [Place(rank, store.get(keys[rank]).decode()) for rank in sorted(came)]
        missing = rank_words([rank for rank in range(rendezvous.world_size) if rank not in came])
        raise HardwareError(
            f"{missing} did not come within {patience:g} s. Here are: {described(here)}. Look at the node and the log "
            "of what is missing."
        ) from error
