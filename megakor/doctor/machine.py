"""What one machine has by itself: libraries, devices, limits."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_MEMLOCK, RLIMIT_NOFILE, RLIMIT_NPROC, getrlimit

from megakor import __version__
from megakor.doctor.finding import Finding
from megakor.errors import MegakorError
from megakor.units import data_size

FILES, PROCESSES = 4096, 4096
"""Of one user: every rank opens its shards, and a socket to each of the others."""
SHARED_MEMORY = 2**28
"""Bytes."""


def machine() -> list[Finding]:
    """What this machine has by itself, in the order of the report."""
    return [finding for check in CHECKS for finding in check()]


def _program() -> Iterator[Finding]:
    yield Finding(
        "megakor", f"{__version__}, Python {platform.python_version()}, {platform.system()} {os.cpu_count()} cores"
    )
    for package in ("torch", "numpy", "omegaconf", "tokenizers", "tensorboard"):
        yield Finding(package, importlib.metadata.version(package))


def _megatron_core() -> Iterator[Finding]:
    import torch

    from megakor.parallel.cpu_backend import import_megatron_core

    if torch.cuda.is_available():
        yield _megatron_core_on_cuda()
        return
    try:
        version = import_megatron_core()
    except MegakorError as error:
        yield Finding("megatron-core", "not as expected", str(error), fatal=True)
    else:
        yield Finding("megatron-core", f"{version}, all seams of the CPU backend are there")


def _megatron_core_on_cuda() -> Finding:
    """Imported as a run there imports it: with Transformer Engine and apex, which may fail in ways of their own."""
    try:
        importlib.import_module("megatron.core.optimizer")
        return Finding("megatron-core", str(importlib.import_module("megatron.core").__version__))
    except Exception as error:
        return Finding("megatron-core", "cannot be imported", f"{type(error).__name__}: {error}", fatal=True)


def _devices() -> Iterator[Finding]:
    import torch

    if not torch.cuda.is_available():
        yield Finding("device", "cpu (torch finds no CUDA device)")
        return
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        yield Finding(f"cuda:{index}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    if importlib.util.find_spec("transformer_engine") is None:
        yield Finding("transformer-engine", "missing", "pip install 'megakor[gpu]'", fatal=True)
    else:
        yield Finding("transformer-engine", importlib.metadata.version("transformer-engine"))


def _apex() -> Iterator[Finding]:
    """The public package index has a web toolkit of the same name, and megatron-core would take it for NVIDIA's."""
    found = importlib.machinery.PathFinder.find_spec("apex")  # also where the CPU backend has hidden it
    if found is None:
        yield Finding("apex", "not installed; it is optional")
    # Looked at, not imported: the toolkit fails on import where its own dependencies are too new.
    elif not any((Path(place) / "optimizers").is_dir() for place in found.submodule_search_locations or ()):
        advice = "pip uninstall apex: it is an unrelated web toolkit; NVIDIA's is built from its source repository"
        yield Finding("apex", "not NVIDIA's", advice, fatal=True)
    else:
        yield Finding("apex", "NVIDIA's")


def _process_group() -> Iterator[Finding]:
    import socket

    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 0))
        except OSError as error:
            yield Finding("loopback", "cannot be bound", f"{error}: ranks on one machine cannot meet", fatal=True)
            return
    yield Finding("loopback", "ranks on this machine can meet")


def _limits() -> Iterator[Finding]:
    """Slurm hands the limits of the shell that submitted on to the tasks, unless it is told otherwise."""
    files, processes, locked = (_limit(kind) for kind in (RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_MEMLOCK))
    low = [f"ulimit -n {FILES}"] if files < FILES else []
    low += [f"ulimit -u {PROCESSES}"] if processes < PROCESSES else []
    # RDMA registers buffers, which are locked then; gloo over TCP does not.
    low += ["ulimit -l unlimited"] if locked < inf and _has_cuda() else []
    state = f"open files {files:,}, processes {processes:,}, locked memory {locked:,}".replace("inf", "unlimited")
    yield Finding("limits", state, f"raise them: {', '.join(low)}" if low else "")


def _limit(kind: int) -> float:
    soft, _ = getrlimit(kind)
    return inf if soft == RLIM_INFINITY else soft


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _shared_memory() -> Iterator[Finding]:
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield Finding("/dev/shm", "not there", "gloo and NCCL use shared memory; mount a tmpfs there")
        return
    usage = shutil.disk_usage(memory)
    advice = (
        "gloo and NCCL use shared memory; start the container with --shm-size=1g" if usage.free < SHARED_MEMORY else ""
    )
    yield Finding(
        "/dev/shm", f"{data_size(usage.total)}" + (f", {data_size(usage.free)} free" if advice else ""), advice
    )


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _program,
    _megatron_core,
    _devices,
    _apex,
    _process_group,
    _limits,
    _shared_memory,
)
"""In the order of the report."""
