"""What a process does when it hears a stop signal: real signals, in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

import pytest

from megakor.resilience.listener import StopListener
from megakor.resilience.stop_request import StopRequest

HANGS = """
import select, sys
from megakor.resilience.listener import StopListener
with StopListener() as listener:
    {arm}
    print("listening", flush=True)
    # As in a collective: a call that Python begins again after every signal.
    select.select([], [], [], 60)
"""


def ended(arm: str, signals: Sequence[signal.Signals], pause: float = 0.1) -> tuple[int, str]:
    """Exit code and stderr of a process that hangs and gets signals, one after the other: those that wait at the same
    time have no order."""
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS.format(arm=arm)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    for index, number in enumerate(signals):
        if index:
            threading.Event().wait(pause)
        process.send_signal(number)
    _, err = process.communicate(timeout=60)
    return process.returncode, err


ARMED = "listener.arm(0.3, None)"


@pytest.mark.parametrize(
    ("arm", "signals", "code", "told"),
    [
        ("", [signal.SIGUSR1], 75, "before the run had begun"),
        ("", [signal.SIGUSR2], 75, "before the run had begun"),
        ("", [signal.SIGTERM], 0, "before the run had begun"),
        ("", [signal.SIGINT], 0, "before the run had begun"),
        (ARMED, [signal.SIGUSR1], 75, "within 0.3 s after SIGUSR1"),
        (ARMED, [signal.SIGTERM], 70, "within 0.3 s after SIGTERM"),
        (ARMED, [signal.SIGUSR1, signal.SIGUSR1, signal.SIGTERM], 75, "after SIGUSR1"),
        (ARMED, [signal.SIGTERM, signal.SIGUSR1], 70, "after SIGTERM"),
        (ARMED, [signal.SIGINT, signal.SIGINT], 70, "after SIGINT"),
        ("import time; listener.arm(0.3, time.time())", [], 75, "after the time limit"),
    ],
)
def test_a_process_that_hangs_ends_with_the_code_of_what_it_was_asked(
    arm: str, signals: list[signal.Signals], code: int, told: str
) -> None:
    found, err = ended(arm, signals)
    assert (found, told in err) == (code, True), err


def test_a_second_ctrl_c_ends_at_once() -> None:
    code, err = ended("listener.arm(50, None)", [signal.SIGINT, signal.SIGINT], pause=1.2)
    assert code == 130
    assert "not saved" in err


def test_something_is_done_before_the_end_by_force() -> None:
    arm = "listener.arm(0.1, None); listener.before_force = lambda: print('stacks', file=sys.stderr)"
    _, err = ended(arm, [signal.SIGUSR1])
    assert err.startswith("stacks\n")


def test_the_first_request_stands_and_handlers_are_given_back() -> None:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    with StopListener() as listener:
        listener.arm(60, None)
        assert listener.request() is StopRequest.NONE
        for number in (signal.SIGUSR1, signal.SIGTERM):
            os.kill(os.getpid(), number)
        while not listener.request():
            threading.Event().wait(0.01)
        assert (listener.request(), listener.why) == (StopRequest.REQUEUE, "SIGUSR1")
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before
    assert signal.set_wakeup_fd(-1) == -1


def test_after_letting_go_signals_are_somebody_elses() -> None:
    heard: list[int] = []
    with StopListener() as listener:
        earlier = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
        listener.let_go()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert heard == [signal.SIGUSR1]
        signal.signal(signal.SIGUSR1, earlier)
