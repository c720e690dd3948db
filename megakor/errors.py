"""Errors that are shown to a user as a sentence, and the exit codes of every verb."""

import sys
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `megakor`; docs/exit-codes.md says what to do about each."""

    DONE = 0
    USAGE = 2
    DATA = 65
    LOST = 70
    HARDWARE = 71
    STORAGE = 74
    REQUEUE = 75
    DIVERGED = 76
    INTERRUPTED = 130


class MegakorError(Exception):
    """A problem that a user can mend: the message says what is wrong, where, and what to do."""

    exit_code: ExitCode = ExitCode.USAGE
    on_every_rank: bool = False
    """Whether all ranks of a machine raise it in the same words; the first one tells it."""


class ConfigError(MegakorError):
    """A wrong setting. Holds one or many problems; all of them are printed."""

    on_every_rank = True


class DataError(MegakorError):
    """A missing, malformed or mismatched input."""

    exit_code = ExitCode.DATA


class LostError(MegakorError):
    """Another rank of the run is gone or does not answer."""

    exit_code = ExitCode.LOST


class HardwareError(MegakorError):
    """A device, a port or a preflight check that failed."""

    exit_code = ExitCode.HARDWARE


class StorageError(MegakorError):
    """A checkpoint or run directory that cannot be written or cannot be trusted."""

    exit_code = ExitCode.STORAGE


class DivergedError(MegakorError):
    """The loss or a gradient is no longer a number."""

    on_every_rank = True
    exit_code = ExitCode.DIVERGED


def report(error: MegakorError) -> int:
    """Print the error as one sentence on stderr; returns the exit code of its kind."""
    print(f"error: {error}", file=sys.stderr)
    return int(error.exit_code)
