"""Processes that help this one and end with it."""

from __future__ import annotations

import signal
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess


def start_child(process: BaseProcess) -> None:
    """Start a process that Ctrl-C never reaches, not even while Python starts in it: this one is to end it.

    A signal that is blocked stays so in the child; here it is only late.
    """
    resource_tracker.ensure_running()  # started by `process.start` it would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
