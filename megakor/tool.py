"""What every program in tools/ does around its command: a problem, Ctrl-C or a closed pipe ends it in words."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from megakor.errors import ExitCode, MegakorError, report


def run_tool(module: str, function: str) -> int:
    """Import the command and run it; returns its exit code. Ctrl-C may come while its libraries are still loading."""
    try:
        return int(getattr(import_module(module), function)())
    except MegakorError as error:
        return report(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has what they wanted. Python would flush into the closed pipe once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
