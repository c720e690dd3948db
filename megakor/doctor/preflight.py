"""What is looked at before every run of several ranks: it costs less than a second and saves an hour."""

from __future__ import annotations

import sys
from pathlib import Path

import torch.distributed as dist

from megakor.config.schema import Config
from megakor.doctor.agreement import agreement
from megakor.doctor.disk import Demand, space
from megakor.doctor.finding import report_text
from megakor.doctor.sharing import shared_directory
from megakor.doctor.world import World
from megakor.errors import HardwareError


def preflight(config: Config, group: dist.ProcessGroup) -> None:
    """Compare code, libraries, configuration and devices of all ranks; look whether they share the run directory and a
    checkpoint fits. Collective.

    Args:
        group: all ranks, on the CPU.

    Raises:
        HardwareError: on every rank, with the node that is not like the others.
    """
    world = World(dist.get_rank(group), dist.get_world_size(group), group)
    if world.size == 1:
        return
    directory = Path(config.run.dir)
    findings = [
        *agreement(world, config),
        *shared_directory(world, directory),
        *space(world, directory, Demand.of(config)),
    ]
    wrong = [finding for finding in findings if finding.advice or not finding.subject]
    if any(finding.fatal for finding in wrong):
        problem = HardwareError(
            f"these ranks cannot train together:\n{report_text(wrong)}\n"
            "`megakor doctor CONFIG`, started as the run is, examines them in full."
        )
        problem.on_every_rank = True
        raise problem
    if wrong and world.rank == 0:
        print(report_text(wrong), file=sys.stderr)
