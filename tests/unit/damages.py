"""Ways in which files go wrong on disks and in copies, each drawn from a seed."""

from __future__ import annotations

import random

KINDS = ("bit", "byte", "zeros", "cut", "emptied", "longer", "shorter inside", "longer inside", "swapped", "noise")


def damaged(content: bytes, kind: str, numbers: random.Random) -> bytes:
    """The content with one damage of a kind; it may come out unchanged (zeros over zeros)."""
    place = numbers.randrange(max(1, len(content)))
    length = numbers.randint(1, 64)
    before, inside, after = content[:place], content[place : place + length], content[place + length :]
    if kind in ("bit", "byte"):
        mask = 1 << numbers.randrange(8) if kind == "bit" else numbers.randint(1, 255)
        return before + bytes(byte ^ mask for byte in inside[:1]) + inside[1:] + after
    return {
        "zeros": before + bytes(len(inside)) + after,
        "cut": before,
        "emptied": b"",
        "longer": content + numbers.randbytes(length),
        "shorter inside": before + after,
        "longer inside": before + numbers.randbytes(length) + inside + after,
        "swapped": after + inside + before,
        "noise": before + numbers.randbytes(len(inside)) + after,
    }[kind]
