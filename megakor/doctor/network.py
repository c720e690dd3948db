"""Do the ranks reach each other, do sums come out right, and how fast is it? A slow link is named by its two ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from statistics import median

import torch
import torch.distributed as dist

from megakor.doctor.finding import Finding
from megakor.doctor.places import Place, described
from megakor.doctor.world import World
from megakor.units import data_size

CPU_BYTES, CUDA_BYTES = 16 << 20, 256 << 20
"""Of the tensor that is summed: large enough that latency does not count."""
REPEATS = 3
SLOW = 4.0
"""A link that needs so many times as long as the median one is named. Ranks of one node share its card."""


def network(world: World, local_rank: int) -> list[Finding]:
    """All-reduce over all ranks, and a message from each to the next one, on what the run will use. Collective."""
    if world.size == 1:
        return []
    cuda = all(world.gather(torch.cuda.is_available()))
    if cuda:
        torch.cuda.set_device(local_rank)
    group = dist.new_group(backend="nccl") if cuda else world.group
    values = torch.empty((CUDA_BYTES if cuda else CPU_BYTES) // 4, device="cuda" if cuda else "cpu")
    name = "NCCL" if cuda else "gloo"
    return [*_all_reduce(world, values, group, name), *_ring(world, values, group, name)]


def _all_reduce(world: World, values: torch.Tensor, group: dist.ProcessGroup | None, name: str) -> Iterator[Finding]:
    seconds, wrong = [], False
    for _ in range(1 + REPEATS):  # the first one opens the connections
        values.fill_(world.rank + 1)
        world.gather(None)
        began = _now(values)
        dist.all_reduce(values, group=group)
        seconds.append(_now(values) - began)
        wrong = wrong or not bool((values == world.size * (world.size + 1) // 2).all())
    if ranks := [world.places[rank] for rank, bad in enumerate(world.gather(wrong)) if bad]:
        advice = "its memory, card or network changes data: take the node out"
        yield Finding(f"{name} all-reduce", f"{described(ranks)}: a wrong sum", advice, fatal=True)
    slowest = max(min(each) for each in world.gather(seconds[1:]))
    size = values.numel() * values.element_size()
    speed = 2 * (world.size - 1) / world.size * size / slowest
    yield Finding(
        f"{name} all-reduce", f"{data_size(speed)}/s of bus bandwidth over {world.size} ranks ({data_size(size)})"
    )


def _ring(world: World, values: torch.Tensor, group: dist.ProcessGroup | None, name: str) -> Iterator[Finding]:
    """One link at a time would take a time that grows with the ranks; all at once, each still has its own two ends."""
    message, received = values[: values.numel() // 4], torch.empty_like(values[: values.numel() // 4])
    after, before = (world.rank + 1) % world.size, (world.rank - 1) % world.size
    seconds = []
    for _ in range(1 + REPEATS):
        world.gather(None)
        began = _now(values)
        operations = [dist.P2POp(dist.isend, message, after, group), dist.P2POp(dist.irecv, received, before, group)]
        for work in dist.batch_isend_irecv(operations):
            work.wait()
        seconds.append(_now(values) - began)
    yield link_finding(
        world.places, world.gather(min(seconds[1:])), message.numel() * message.element_size(), f"{name} link"
    )


def link_finding(places: Sequence[Place], seconds: Sequence[float], size: int, subject: str) -> Finding:
    """Judge the links of the ring by how long each rank took to send to the next and to hear from the one before.

    A slow link makes both of its ends slow.
    """
    usual = median(seconds)
    slow = [rank for rank in range(len(seconds)) if seconds[rank] > SLOW * usual]
    state = f"{data_size(size / usual)}/s from one rank to the next"
    if not slow or len(seconds) == 2:
        return Finding(subject, state)
    named = f"{described(places[rank] for rank in slow)}: {data_size(size / max(seconds))}/s; median {state}"
    return Finding(subject, named, "look at the network card and the cable of what is named, or leave the node out")


def _now(values: torch.Tensor) -> float:
    if values.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter()
