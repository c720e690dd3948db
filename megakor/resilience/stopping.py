"""All ranks stop at the same point, without one of them waiting for another at every step.

On the same way they tell each other what they have decided about their numbers, which has to be the same.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist

from megakor.errors import ExitCode, HardwareError
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
        self.decisions: Callable[[], int] = lambda: 0
        """How many updates this rank has refused."""
        self._listener = listener
        self._group = group
        self._answer: Callable[[], StopRequest] | None = None

    def poll(self) -> None:
        """Between steps: ask at this call, hear the answer at the next one.

        Raises:
            Stopped: on every rank.
            HardwareError: on every rank; they have decided differently.
        """
        self._raise(self._hear())
        self._answer = self._ask()

    def check(self) -> None:
        """Where ranks wait for each other anyway: ask and hear at once. Raises as `poll`."""
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
        decided = self.decisions()
        asked = torch.tensor([int(mine), decided, -decided], device="cpu")
        work = dist.all_reduce(asked, op=dist.ReduceOp.MAX, group=self._group, async_op=True)

        def answer() -> StopRequest:
            if work is not None:
                work.wait()
            request, most, least = asked.tolist()
            if most != -least:
                raise _disagreement(most, -least)
            return StopRequest(request)

        return answer


def _disagreement(most: int, least: int) -> HardwareError:
    error = HardwareError(
        f"one rank has refused {most} updates and another one {least}, though all judge the same numbers: a machine "
        "computes or transmits wrongly. Look for it with megakor doctor, then start the same command again: the run "
        "goes on from the newest checkpoint."
    )
    error.on_every_rank = True
    return error
