"""All ranks stop at the same point, without one of them waiting for another at every step."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist

from megakor.errors import ExitCode
from megakor.resilience.listener import StopListener
from megakor.resilience.stop_request import StopRequest


class Stopped(Exception):  # noqa: N818 - it is no error
    """The ranks have agreed to stop here. Model and data are where a step ended, so they can be saved."""

    def __init__(self, request: StopRequest, why: str) -> None:
        super().__init__(why)
        self.request = request

    @property
    def exit_code(self) -> ExitCode:
        """Of the run, when it has saved."""
        return self.request.exit_code


class Stopping:
    """Asks all ranks whether one of them was told to stop. Its methods are collective: all ranks call them alike.

    Args:
        listener: of this process.
        group: a CPU (gloo) group of all ranks, for which nobody ever waits long.
    """

    def __init__(self, listener: StopListener, group: dist.ProcessGroup) -> None:
        self._listener = listener
        self._group = group
        self._answer: Callable[[], StopRequest] | None = None

    def poll(self) -> None:
        """Between steps: ask at this call, hear the answer at the next one. Raises Stopped on every rank."""
        self._raise(self._hear())
        self._answer = self._ask()

    def check(self) -> None:
        """Where ranks wait for each other anyway: ask and hear at once. Raises Stopped on every rank."""
        earlier = self._hear()
        self._raise(max(earlier, self._ask()()))

    def _hear(self) -> StopRequest:
        answer, self._answer = self._answer, None
        return StopRequest.NONE if answer is None else answer()

    def _raise(self, request: StopRequest) -> None:
        if request:
            raise Stopped(request, self._listener.why or "another rank")

    def _ask(self) -> Callable[[], StopRequest]:
        mine = self._listener.request()
        if dist.get_world_size(self._group) == 1:
            return lambda: mine
        asked = torch.tensor([int(mine)], device="cpu")
        work = dist.all_reduce(asked, op=dist.ReduceOp.MAX, group=self._group, async_op=True)

        def answer() -> StopRequest:
            if work is not None:
                work.wait()
            return StopRequest(int(asked.item()))

        return answer
