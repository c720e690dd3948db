"""Room and speed where checkpoints go: whether one fits, how long it takes, and which node writes slowly."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from uuid import uuid4

from megakor.config.schema import Config
from megakor.config.summary import checkpoint_bytes
from megakor.config.vocabulary import vocabulary_size
from megakor.doctor.finding import Finding
from megakor.doctor.places import described
from megakor.doctor.world import World
from megakor.storage import remove
from megakor.units import data_size, duration

SAMPLE_BYTES = 64 << 20
"""What each rank writes to measure; less where there is little room."""
PIECE_BYTES = 1 << 20
SLOW = 3.0
"""A rank that needs so many times as long as the median one is named."""
LITTLE_BYTES = 5 << 30
"""Free space that is too little for comfort where the size of a checkpoint is not known."""


@dataclass(frozen=True)
class Demand:
    """What a run asks of its disk."""

    checkpoint_bytes: int | None
    """None: not known without the tokenizer."""
    checkpoints: int
    """At the same time: those that are kept, and the one that is being written."""
    grace_seconds: float
    """What a run that is asked to stop has for saving."""

    @classmethod
    def of(cls, config: Config) -> Demand:
        """From the configuration; 0 kept means all, of which two are counted."""
        vocabulary = vocabulary_size(config)
        size = checkpoint_bytes(config, vocabulary) if vocabulary else None
        limits = config.resilience
        return cls(size, (config.checkpoint.keep or 1) + 1, min(limits.grace_seconds, limits.stop_before_seconds))


def space(world: World, directory: Path, demand: Demand | None) -> list[Finding]:
    """Is there room for a checkpoint? Collective."""
    free = world.gather(shutil.disk_usage(_existing(directory)).free)
    least = min(free)
    where = "" if max(free) - least < LITTLE_BYTES else f" on {described([world.places[free.index(least)]])}"
    state = f"{data_size(least)} free{where} at {_existing(directory)}"
    if demand is None or demand.checkpoint_bytes is None:
        advice = f"less than {data_size(LITTLE_BYTES)}: a checkpoint may not fit" if least < LITTLE_BYTES else ""
        return [Finding("disk", state, advice)]
    state += f"; a checkpoint takes about {data_size(demand.checkpoint_bytes)}"
    if least < demand.checkpoint_bytes:
        return [Finding("disk", state, "make room, or set another run.dir: not one checkpoint fits", fatal=True)]
    wanted = demand.checkpoint_bytes * demand.checkpoints
    kept = f"{demand.checkpoints} at a time need {data_size(wanted)}: make room, or lower checkpoint.keep"
    return [Finding("disk", state, kept if least < wanted else "")]


def write_speed(world: World, directory: Path, demand: Demand | None) -> list[Finding]:
    """All ranks write and sync a file at the same time, as they do for a checkpoint. Collective; nothing stays."""
    place = _existing(directory)
    room = min(world.gather(shutil.disk_usage(place).free)) // (4 * world.size)
    size = min(SAMPLE_BYTES, room) // PIECE_BYTES * PIECE_BYTES
    if size == 0:
        return [Finding("write speed", "not measured: there is no room for a sample", "make room", fatal=True)]
    path = place / f".megakor-doctor-{uuid4().hex}"
    try:
        outcome = world.gather(_timed_write(path, size))
    finally:
        remove(path)
    if failed := [rank for rank, seconds in enumerate(outcome) if isinstance(seconds, str)]:
        words = (
            f"{described(world.places[rank] for rank in failed)}: {place} cannot be written to ({outcome[failed[0]]})"
        )
        return [Finding("write speed", words, "mount it, and let the user write to it", fatal=True)]
    seconds = [float(value) for value in outcome]
    return [*_speeds(world, size, seconds), *_saving(demand, size * world.size / max(seconds))]


def _speeds(world: World, size: int, seconds: Sequence[float]) -> list[Finding]:
    total = f"{data_size(size * world.size / max(seconds))}/s by {world.size} ranks" if world.size > 1 else ""
    each = f"{data_size(size / median(seconds))}/s by one rank"
    slow = [rank for rank in range(world.size) if seconds[rank] > SLOW * median(seconds)]
    state = ", ".join(part for part in (each, total) if part)
    if not slow:
        return [Finding("write speed", state)]
    named = "; ".join(f"{described([world.places[rank]])}: {data_size(size / seconds[rank])}/s" for rank in slow)
    return [Finding("write speed", f"{named}; median {state}", "every save waits for its slowest rank")]


def _saving(demand: Demand | None, bytes_per_second: float) -> list[Finding]:
    if demand is None or demand.checkpoint_bytes is None:
        return []
    seconds = demand.checkpoint_bytes / bytes_per_second
    state = f"about {duration(seconds)} for a checkpoint at this speed"
    # A run that is asked to stop may have to wait for the save before, too.
    if 2 * seconds < demand.grace_seconds:
        return [Finding("saving", f"{state}; a run that is asked to stop has {duration(demand.grace_seconds)}")]
    advice = (
        f"a run that is asked to stop has {duration(demand.grace_seconds)}, and may have to write two: raise "
        "resilience.grace_seconds and stop_before_seconds, and the time that the scheduler gives"
    )
    return [Finding("saving", state, advice)]


def _timed_write(path: Path, size: int) -> float | str:
    """Seconds until `size` bytes, which do not compress, are on the disk; or what the storage said."""
    piece = os.urandom(PIECE_BYTES)
    began = time.perf_counter()
    try:
        with path.open("xb") as file:
            for _ in range(size // PIECE_BYTES):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return time.perf_counter() - began


def _existing(directory: Path) -> Path:
    path = directory.resolve()
    return next(one for one in (path, *path.parents) if one.is_dir())
