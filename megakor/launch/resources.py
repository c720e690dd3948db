"""What a launched run asks of the machines, checked so that no name can become a command or a pattern."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from megakor.config.schema import Config
from megakor.errors import ConfigError

DEFAULT_SLURM_MINUTES = 2 * 24 * 60
DEFAULT_LOCAL_MINUTES = 366 * 24 * 60
_TIMES = (
    re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>\d+)(?::(?P<seconds>\d+))?"),
    re.compile(r"(?P<days>\d+)-(?P<hours>\d+)"),
    re.compile(r"(?P<minutes>\d+)"),
)
_OPTION = re.compile(r"[a-z][a-z-]*")
_OURS = {"array", "chdir", "error", "open-mode", "output", "signal", "wrap"}
"""Options of sbatch that the requeueing rests on."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


@dataclass(frozen=True)
class Resources:
    """Of one job."""

    name: str
    nodes: int
    ranks_per_node: int
    gpus_per_node: int
    minutes: int
    cores_per_rank: int | None = None
    options: dict[str, str] = field(default_factory=dict)
    """More options of sbatch, without their dashes."""
    setup: Path | None = None
    """A shell file that the job sources first: modules, the network."""

    @property
    def ranks(self) -> int:
        """Of all nodes."""
        return self.nodes * self.ranks_per_node


def gpus_of(config: Config, ranks_per_node: int) -> int:
    """GPUs that a job asks for on each node: one a rank, unless the config says that it computes on CPUs."""
    return 0 if config.device == "cpu" else ranks_per_node


def job_name(text: str) -> str:
    """A name of a job by any text: letters, digits, dots, dashes; what else there is becomes a line."""
    return re.sub(r"[^\w.-]+", "_", text).strip("_.-")[:64] or "megakor"


def minutes_of(text: str) -> int:
    """A time limit in Slurm's spelling (90, 36:00:00, 2-00, 2-00:00:00), rounded up to minutes.

    Raises:
        ConfigError: it is none.
    """
    match = next((match for match in (time.fullmatch(text) for time in _TIMES) if match), None)
    if match is None:
        raise ConfigError(f"--time {text}: write minutes, hours:minutes:seconds or days-hours:minutes:seconds.")
    parts = {name: int(value) for name, value in match.groupdict(default="0").items()}
    if match.re is _TIMES[0] and match["days"] is None and match["seconds"] is None:
        parts = {"minutes": parts["hours"], "seconds": parts["minutes"]}  # 90:30 is minutes and seconds
    hours = 24 * parts.get("days", 0) + parts.get("hours", 0)
    minutes = 60 * hours + parts.get("minutes", 0) + (parts.get("seconds", 0) > 0)
    if minutes == 0:
        raise ConfigError(f"--time {text}: no time at all.")
    return minutes


def sbatch_options(words: list[str]) -> dict[str, str]:
    """KEY=VALUE words as options of sbatch.

    Raises:
        ConfigError: one is no such word, or belongs to what makes the job go on.
    """
    options = {}
    for word in words:
        key, equals, value = word.partition("=")
        key = key.lstrip("-")
        if not equals or not _OPTION.fullmatch(key) or _UNPRINTABLE.search(value):
            raise ConfigError(f"--sbatch {word!r}: write it as in --sbatch constraint=h100.")
        if key in _OURS:
            raise ConfigError(f"--sbatch {key}: megakor launch sets it, so that the job goes on after its time limit.")
        options[key] = value
    return options


def check_path(path: Path, slurm: bool) -> None:
    """Raises ConfigError for a run directory that cannot be written into a batch script as it is."""
    if _UNPRINTABLE.search(str(path)):
        raise ConfigError(f"run.dir {str(path)!r} has a line break or another control character in it. Rename it.")
    if slurm and (found := sorted(set(str(path)) & set("%\\"))):
        raise ConfigError(
            f"run.dir {path}: Slurm reads {' '.join(found)} in the name of a log in its own way. Choose another name, "
            "or another --executor."
        )
