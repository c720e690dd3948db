"""Is the run directory the same one on all nodes? Each rank writes a file that others must see.

The first rank looks for everybody's file, everybody looks for the first one's: two looks for each rank, at any world
size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from megakor.doctor.finding import Finding
from megakor.doctor.places import described
from megakor.doctor.world import World
from megakor.storage import remove

SUBJECT = "run directory"
PATIENCE_SECONDS = 3.0
"""Network file systems may show a new file late."""


def shared_directory(world: World, directory: Path) -> list[Finding]:
    """Look whether `directory`, or the nearest parent that is there, is one place for all ranks. Collective.

    Whatever is written is removed again.
    """
    levels = world.from_first(_levels_to_existing(directory))
    place = directory.resolve().parents[levels - 1] if levels else directory.resolve()
    token = world.from_first(uuid4().hex)

    def probe(rank: int) -> Path:
        return place / f".megakor-doctor-{token}-{rank}"

    try:
        trouble = world.gather(_write(probe(world.rank), token))
        others = range(world.size) if world.rank == 0 else [0]
        unseen = [rank for rank in others if trouble[rank] is None and not _sees(probe(rank), token)]
        return _findings(world, place, trouble, world.gather(unseen))
    finally:
        world.gather(None)  # nobody removes what another one still looks for
        remove(probe(world.rank))


def _findings(
    world: World, place: Path, trouble: Sequence[str | None], unseen: Sequence[Sequence[int]]
) -> list[Finding]:
    found = []
    for reason in dict.fromkeys(words for words in trouble if words):
        ranks = [world.places[rank] for rank, words in enumerate(trouble) if words == reason]
        advice = "mount it on all nodes, and let the user write to it"
        found.append(Finding(SUBJECT, f"{described(ranks)}: {place} {reason}", advice, fatal=True))
    apart = {rank for rank in range(1, world.size) if unseen[rank]} | set(unseen[0])
    if apart:
        alone = described(world.places[rank] for rank in apart)
        words = f"{alone}: does not share {place} with {described(world.places[:1])}"
        advice = "set run.dir to a directory on storage that all nodes share; a local disk is none"
        found.append(Finding(SUBJECT, words, advice, fatal=True))
    return found or [Finding(SUBJECT, f"{place} is the same on all {world.size} ranks")]


def _levels_to_existing(directory: Path) -> int:
    """How far up the nearest directory is that is there: 0 for itself."""
    path = directory.resolve()
    return next(level for level, one in enumerate([path, *path.parents]) if one.is_dir())


def _write(path: Path, token: str) -> str | None:
    """What stands in the way, or None."""
    try:
        path.write_text(token, encoding="ascii")
    except OSError as error:
        return f"cannot be written to ({error.strerror})"
    return None


def _sees(path: Path, token: str) -> bool:
    def look() -> bool:
        with suppress(OSError):
            return path.read_text(encoding="ascii") == token
        return False

    return _within(PATIENCE_SECONDS, look)


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
