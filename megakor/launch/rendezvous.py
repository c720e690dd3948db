"""The rank of this process, as torchrun, `megakor pretrain` itself or `adopt_rank` put it into the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass

from megakor.errors import HardwareError


@dataclass(frozen=True)
class Rendezvous:
    """Which of how many processes this one is."""

    rank: int
    world_size: int
    local_rank: int

    @classmethod
    def from_environment(cls) -> Rendezvous:
        """RANK, WORLD_SIZE and LOCAL_RANK; without them, one process is the whole world.

        Raises:
            HardwareError: one of them is not a number.
        """
        return cls(_number("RANK", 0), _number("WORLD_SIZE", 1), _number("LOCAL_RANK", 0))


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise HardwareError(f"the environment variable {name} is {text!r}; a launcher sets it to a number. Unset it.")
    return int(text)
