"""Where the tasks of a Slurm job step meet: the first node of the step, at a port that follows from the job."""

from __future__ import annotations

import re
from collections.abc import Mapping

from megakor.errors import ConfigError
from megakor.launched import number

FIRST_PORT, PORTS = 20_000, 10_000
"""Below the ports that systems give out by themselves (32768 and up on Linux)."""
_APART = 1009
"""Steps of one job that run side by side are so many ports apart."""
_NAME = re.compile(r"(?P<before>[^\[,]+)(?:\[(?P<first>\d+)[^\]]*\](?P<after>[^,]*))?")
"""The first of the names of a node list, such as gpu[003-007,12]-ib,login1."""


def meeting_point(environment: Mapping[str, str]) -> tuple[str, int]:
    """Address and port by the variables of a step. Raises ConfigError."""
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST", "")
    return first_node(nodes), step_port(number(environment, "SLURM_JOB_ID"), number(environment, "SLURM_STEP_ID", 0))


def first_node(nodes: str) -> str:
    """The first name of a node list in Slurm's spelling. Containers have no `scontrol show hostnames`.

    Raises:
        ConfigError: it is empty, or spelt otherwise.
    """
    match = _NAME.match(nodes)
    if match is None:
        raise ConfigError(f"Slurm's list of nodes is {nodes!r}; export MASTER_ADDR, the name of the first node.")
    return f"{match['before']}{match['first'] or ''}{match['after'] or ''}"


def step_port(job: int, step: int = 0) -> int:
    """The port of a step; two jobs on one node do not share it unless their numbers agree in the last four digits."""
    return FIRST_PORT + (job + _APART * step) % PORTS
