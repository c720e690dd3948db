"""What a run can be asked to do, by which signal, and the exit codes that answer. Needs no torch."""

from __future__ import annotations

import signal
from enum import IntEnum

from megakor.errors import ExitCode


class StopRequest(IntEnum):
    """Where ranks were asked for different things the highest counts."""

    NONE = 0
    REQUEUE = 1
    """Save, and ask to be started again."""
    STOP = 2
    """Save, and be done."""

    @property
    def exit_code(self) -> ExitCode:
        """When it was done, or when there was nothing yet to save."""
        return ExitCode.REQUEUE if self is StopRequest.REQUEUE else ExitCode.DONE

    @property
    def forced_code(self) -> ExitCode:
        """When the grace was over before the run had saved: what came after the newest checkpoint is lost."""
        return ExitCode.REQUEUE if self is StopRequest.REQUEUE else ExitCode.LOST


REQUESTS: dict[int, StopRequest] = {
    signal.SIGUSR1: StopRequest.REQUEUE,
    signal.SIGUSR2: StopRequest.REQUEUE,
    signal.SIGTERM: StopRequest.STOP,
    signal.SIGINT: StopRequest.STOP,
}
"""SIGTERM is what `scancel` and preemption send: Slurm itself starts again what it preempts."""
