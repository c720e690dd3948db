"""Random draws that depend on a number, a seed and a purpose alone: the same in any batch, on any machine."""

from __future__ import annotations

import hashlib

import numpy as np


def draws(numbers: np.ndarray, seed: int, purpose: str) -> np.ndarray:
    """A uniform draw in [0, 1) for each number (non-negative integers), float64: splitmix64's finaliser, keyed."""
    key = hashlib.blake2b(f"{seed} {purpose}".encode(), digest_size=8).digest()
    word = numbers.astype(np.uint64) ^ np.uint64(int.from_bytes(key, "little"))
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    word = word ^ (word >> np.uint64(31))
    return (word >> np.uint64(11)).astype(np.float64) * 2.0**-53


def shuffled(count: int, seed: int, purpose: str) -> np.ndarray:
    """The numbers below `count` in a random order, int64."""
    return np.argsort(draws(np.arange(count), seed, purpose), kind="stable")
