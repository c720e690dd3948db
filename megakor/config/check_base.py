"""Beginning with the weights of another run."""

from __future__ import annotations

from pathlib import Path

from megakor.config.problems import Problem
from megakor.config.schema import Config


def check_base(config: Config) -> list[Problem]:
    """Settings of a base that contradict themselves. Whether it is there is looked at when the run starts."""
    base, directory = config.run.base, config.run.dir
    if base is None:
        what = "The state of the base's optimizer is asked for, and there is no base."
        problem = Problem(("run.base_optimizer",), what, "", "set run.base, or leave run.base_optimizer out.")
        return [problem] if config.run.base_optimizer else []
    if not base.strip():
        return [Problem(("run.base",), "The base has no path.", "", "name a checkpoint or a run directory.")]
    if directory.strip() and _is_inside(Path(base), Path(directory)):
        what = f"{base} belongs to this run itself."
        why = "A run that goes on does so by its run.dir alone; one that begins anew needs a directory of its own."
        return [Problem(("run.base", "run.dir"), what, why, "leave run.base out, or choose another run.dir.")]
    return []


def _is_inside(path: Path, directory: Path) -> bool:
    return path.absolute().is_relative_to(directory.absolute())
