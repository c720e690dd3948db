"""Every check that can be made before a process group exists, without torch. All problems are reported at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from megakor.config.check_base import check_base
from megakor.config.check_batch import check_batch
from megakor.config.check_controllers import check_controllers
from megakor.config.check_data import check_data
from megakor.config.check_device import check_device
from megakor.config.check_mixture import check_mixture
from megakor.config.check_model import check_model
from megakor.config.check_output import check_output
from megakor.config.check_parallel import check_parallel
from megakor.config.check_probes import check_probes
from megakor.config.check_ramp import check_ramps
from megakor.config.check_rates import check_rates
from megakor.config.check_replay import check_replay
from megakor.config.check_resilience import check_resilience
from megakor.config.check_sources import check_sources
from megakor.config.check_values import wrong_values
from megakor.config.data_paths import missing_data
from megakor.config.load import Loaded, load
from megakor.config.problems import Problem, located, raise_errors, warnings_of
from megakor.config.schema import Config
from megakor.config.tree import is_inside, with_defaults


def check(config: Config, world_size: int, cuda_available: bool | None = None) -> list[Problem]:
    """Errors and warnings of a configuration on `world_size` ranks; empty when all is well.

    `cuda_available` is what torch says on the machine of the run; None where nobody asked (a dry run).
    """
    if world_size < 1:
        what = f"The world size is {world_size}."
        return [Problem(("cluster.nodes",), what, "", "start at least one rank (cluster.devices_per_node, --nproc).")]
    wrong = wrong_values(config)
    mended = with_defaults(config, [leaf for leaf, _ in wrong])
    related = [
        *check_model(mended),
        *check_parallel(mended, world_size),
        *check_batch(mended, world_size),
        *check_device(mended, cuda_available),
        *check_rates(mended),
        *check_data(mended),
        *check_sources(mended),
        *check_mixture(mended),
        *check_ramps(mended),
        *check_replay(mended),
        *check_controllers(mended),
        *check_output(mended),
        *check_base(mended),
        *check_probes(mended),
        *check_resilience(mended),
    ]
    return [problem for _, problem in wrong] + _without(related, [leaf.key for leaf, _ in wrong])


def _without(problems: Iterable[Problem], keys: Sequence[str]) -> list[Problem]:
    """Leaves out problems that rest on one of `keys`, whose value is not the user's."""
    return [problem for problem in problems if not any(is_inside(mine, bad) for mine in problem.keys for bad in keys)]


def world_size_of(config: Config) -> int:
    """The world size that the config plans for."""
    return config.cluster.nodes * config.cluster.devices_per_node


def check_loaded(
    loaded: Loaded, world_size: int | None = None, cuda_available: bool | None = None, check_data_files: bool = False
) -> list[Problem]:
    """Problems of single keys and of their relations together, each with the line it comes from."""
    size = world_size_of(loaded.config) if world_size is None else world_size
    found = check(loaded.config, size, cuda_available) + (missing_data(loaded.config) if check_data_files else [])
    doubted = [key for problem in loaded.problems for key in (*problem.keys, *problem.in_doubt)]
    return [*loaded.problems, *located(_without(found, doubted), loaded.origins)]


def valid_config(
    path: Path | str | None,
    overrides: Sequence[str] = (),
    world_size: int | None = None,
    cuda_available: bool | None = None,
    check_data_files: bool = False,
) -> tuple[Config, list[Problem]]:
    """Loads and checks in one go: the Config and its warnings. The world size defaults to the config's cluster.

    Raises:
        InvalidConfigError: every problem at once, with file and line.
    """
    loaded = load(path, overrides)
    problems = check_loaded(loaded, world_size, cuda_available, check_data_files)
    raise_errors(problems)
    return loaded.config, warnings_of(problems)
