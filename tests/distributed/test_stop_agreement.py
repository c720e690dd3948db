"""What ranks agree on without waiting: to stop, and that they have decided alike."""

from __future__ import annotations

import torch.distributed as dist
from ranks import run_ranks

from megakor.errors import HardwareError
from megakor.resilience.listener import StopListener
from megakor.resilience.stop_request import StopRequest
from megakor.resilience.stopping import Stopped, Stopping
from megakor.resilience.stragglers import StepTimes


class Told(StopListener):
    """A listener that hears nothing and is told what to say."""

    def __init__(self) -> None:
        super().__init__()
        self.says = StopRequest.NONE

    def request(self) -> StopRequest:
        return self.says


def talk() -> list[object]:
    dist.init_process_group("gloo")
    group, listener = dist.new_group(backend="gloo"), Told()
    rank, stopping = dist.get_rank(), Stopping(listener, group)
    found: list[object] = []
    for step in range(4):
        listener.says = StopRequest(rank) if step >= 1 else StopRequest.NONE
        found.append(outcome(stopping.poll))
    found.append(outcome(stopping.check))
    listener.says = StopRequest.NONE
    found.append(outcome(stopping.check))
    stopping.decisions = lambda: 3 + rank % 2
    found.append(outcome(stopping.check))
    times = StepTimes(2, 1.4, group, on_cuda=False)
    times._now = iter([0.0, 1.0 + rank] * 4).__next__
    spreads = []
    for step in range(4):
        times.begin()
        times.computed()
        spreads.append(times.step_over(step, step))
    found.append([spread and spread.stragglers for spread in spreads])
    dist.destroy_process_group()
    return found


def outcome(ask: object) -> object:
    try:
        return ask()  # type: ignore[operator]
    except Stopped as stopped:
        return stopped.request.name
    except HardwareError as error:
        return str(error).split(":")[0]


def test_all_ranks_hear_the_same_at_the_same_call() -> None:
    differ = "one rank has refused 4 updates and another one 3, though all judge the same numbers"
    slow = [None, None, {"2": 1.5}, None]
    # Asked at the second call, heard at the third; the fourth begins anew.
    wanted = [None, None, "STOP", None, "STOP", None, differ, slow]
    assert run_ranks(talk, 3) == [wanted] * 3
