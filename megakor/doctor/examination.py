"""`megakor doctor`: on a login node alone, and under a launcher on all ranks at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from megakor.config.data_paths import missing_data
from megakor.config.schema import Config
from megakor.doctor.agreement import agreement
from megakor.doctor.clock import clocks
from megakor.doctor.disk import Demand, space, write_speed
from megakor.doctor.finding import Finding, merged, report_text
from megakor.doctor.machine import machine
from megakor.doctor.network import network
from megakor.doctor.sharing import shared_directory
from megakor.doctor.world import World, met
from megakor.errors import ExitCode
from megakor.launch.rendezvous import Rendezvous
from megakor.units import counted


def examine(config: Config | None, rendezvous: Rendezvous) -> ExitCode:
    """Print what was found, on the first rank. The exit code, on all of them, is 71 if no run can work here.

    Raises:
        HardwareError: the ranks do not come together.
    """
    with met(rendezvous) as world:
        findings = list(_examination(world, config, rendezvous.local_rank))
        if world.rank == 0:
            print(f"{report_text(findings)}\n{_sum(findings, world)}", flush=True)
        fatal = world.from_first(any(finding.fatal for finding in findings))
    return ExitCode.HARDWARE if fatal else ExitCode.DONE


def _examination(world: World, config: Config | None, local_rank: int) -> Iterator[Finding]:
    """Everything, in the order of the report. Collective."""
    local = [*machine(), *_data(config)]
    known = {finding.subject for finding in local}
    yield from merged(dict(zip(world.places, world.gather(local), strict=True)))
    directory = Path(config.run.dir) if config is not None else Path.cwd()
    demand = Demand.of(config) if config is not None else None
    if world.size > 1:
        yield from (finding for finding in agreement(world, config) if finding.advice or finding.subject not in known)
        yield from clocks(world)
        yield from shared_directory(world, directory)
    yield from space(world, directory, demand)
    yield from write_speed(world, directory, demand)
    yield from network(world, local_rank)


def _data(config: Config | None) -> list[Finding]:
    """What the run reads and this node does not have."""
    if config is None:
        return []
    missing = missing_data(config)
    if not missing:
        return [Finding("data", "all paths are here")]
    keys = ", ".join(problem.keys[0] for problem in missing)
    return [
        Finding("data", f"not here: {keys}", "megakor pretrain CONFIG --dry-run --check-data says more", fatal=True)
    ]


def _sum(findings: list[Finding], world: World) -> str:
    failed = sum(finding.fatal for finding in findings)
    warned = sum(finding.mark == "warn" for finding in findings)
    nodes = len({place.host for place in world.places})
    where = f" on {world.size} ranks of {counted(nodes, 'node')}" if world.size > 1 else ""
    return f"{counted(failed, 'failure')}, {counted(warned, 'warning')}{where}"
