"""Hears stop signals and the end of the time, even while the main thread waits inside a collective."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType

from megakor.errors import ExitCode
from megakor.resilience.stop_request import REQUESTS, StopRequest

ONE_SIGNAL = 1.0
"""Seconds within which the same Ctrl-C may arrive twice: from the terminal, and from the process that started us."""


class StopListener:
    """Use it as a context, in the main thread, around everything that a rank does.

    Python runs its own handlers between two steps of the main thread, so not while that waits for another rank. Here
    the handlers do nothing, and what they are called for reaches a thread through a socket. Until `arm` a signal ends
    the process at once: there is nothing to save. From then on the first one is remembered for whoever asks, and when
    the grace is over the thread ends the process. Slurm delivers some signals twice: further ones change nothing. A
    second Ctrl-C, though, ends the process at once.
    """

    def __init__(self) -> None:
        self.why = ""
        """What asked: the name of a signal, or the time limit."""
        self.before_force: Callable[[], None] = lambda: None
        """Called, in the thread, before an exit by force."""
        self._request = StopRequest.NONE
        self._heard = 0.0
        self._interrupted: float | None = None
        self._grace: float | None = None
        self._end: float | None = None

    def request(self) -> StopRequest:
        """What this process has been asked for."""
        return self._request

    def arm(self, grace_seconds: float, end: float | None) -> None:
        """From now on a request is remembered.

        Args:
            grace_seconds: from a request to an exit by force.
            end: when to ask for a requeue without a signal (seconds since 1970).
        """
        self._end = end
        self._grace = grace_seconds
        self._wake.send(b"\0")  # the thread has a new time to wait for

    def __enter__(self) -> StopListener:
        self._wake, self._ears = socket.socketpair()
        self._wake.setblocking(False)
        self._earlier_fd = signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._earlier = {number: signal.signal(number, _only_the_socket) for number in REQUESTS}
        self._thread = threading.Thread(target=self._listen, name="stop-listener", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def let_go(self) -> None:
        """Hear nothing any more; whoever calls has set handlers of its own, or is about to end."""
        if self._thread.is_alive():
            signal.set_wakeup_fd(self._earlier_fd)
            self._wake.close()
            self._thread.join()

    def _listen(self) -> None:
        with self._ears:
            while True:
                ready, _, _ = select.select([self._ears], [], [], self._patience())
                if ready:
                    numbers = self._ears.recv(64)
                    if not numbers:
                        return
                    for number in numbers:
                        self._receive(number)
                self._look_at_clocks()

    def _patience(self) -> float | None:
        """Seconds until something is to be done without a signal."""
        if self._grace is None:
            return None
        if self._request:
            return max(0.0, self._heard + self._grace - time.monotonic())
        return None if self._end is None else max(0.0, self._end - time.time())

    def _receive(self, number: int) -> None:
        if number not in REQUESTS:
            return
        asked, now = REQUESTS[number], time.monotonic()
        name = signal.Signals(number).name
        if self._grace is None:
            _exit(asked.exit_code, f"stopped by {name} before the run had begun; there is nothing to save.")
        if number == signal.SIGINT:
            if self._interrupted is not None and now - self._interrupted > ONE_SIGNAL:
                _exit(ExitCode.INTERRUPTED, "interrupted again: not saved. The newest checkpoint is as it was.")
            self._interrupted = self._interrupted or now
        self._ask(asked, name)

    def _look_at_clocks(self) -> None:
        if self._grace is None:
            return
        if self._end is not None and time.time() >= self._end:
            self._ask(StopRequest.REQUEUE, "the time limit")
        if self._request and time.monotonic() >= self._heard + self._grace:
            self.before_force()
            _exit(
                self._request.forced_code,
                f"error: the run could not save within {self._grace:g} s after {self.why} "
                "(resilience.grace_seconds), so it was ended. It goes on from the newest checkpoint.",
            )

    def _ask(self, asked: StopRequest, why: str) -> None:
        if not self._request:
            self.why, self._heard = why, time.monotonic()
            self._request = asked


def _only_the_socket(number: int, frame: FrameType | None) -> None:
    """The signal has been written into the socket already."""


def _exit(code: ExitCode, words: str) -> None:
    """End the process now, whatever its other threads do."""
    rank = os.environ.get("RANK", "0")
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{words} (rank {rank})\n".encode())
    os._exit(code)
