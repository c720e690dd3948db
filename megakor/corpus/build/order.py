"""The order of documents: one 64-bit key for each, from its place in the inputs and the seed alone.

How the work was cut and who did it does not enter, so the shard is the same bytes however it was built.
"""

from __future__ import annotations

import numpy as np

from megakor.corpus.inputs.records import MAXIMUM_FILES, MAXIMUM_POSITION

POSITION_BITS = 44
_FIRST, _SECOND, _STEP = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB), 0x9E3779B97F4A7C15


def document_keys(file: int, positions: np.ndarray, seed: int | None) -> np.ndarray:
    """Keys, uint64 (documents,), all different; documents stand in a shard by ascending key.

    Without a seed the key is (file, position) and keeps the order of the inputs. With one it is a bijection of that
    number (the finaliser of SplitMix64: Steele, Lea and Flood 2014), which shuffles all documents of all inputs.
    """
    if file >= MAXIMUM_FILES or (len(positions) and int(positions.max()) >= MAXIMUM_POSITION):
        raise ValueError(f"file {file} or a position in it is beyond what a key holds")
    places = np.uint64(file << POSITION_BITS) | positions.astype(np.uint64)
    if seed is None:
        return places
    start = np.uint64((seed * 2 + 1) * _STEP % 2**64)
    return _mixed(_mixed(places ^ start) + start)


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """A bijection of 64-bit numbers in which every input bit moves every output bit; arithmetic is modulo 2^64."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * _FIRST
    numbers = (numbers ^ (numbers >> np.uint64(27))) * _SECOND
    return numbers ^ (numbers >> np.uint64(31))
