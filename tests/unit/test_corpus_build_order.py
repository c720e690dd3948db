"""The order of documents depends on their place and the seed alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from megakor.corpus.build.order import POSITION_BITS, document_keys

seeds = st.integers(-(2**63), 2**63)


@given(seeds, st.lists(st.tuples(st.integers(0, 2**20 - 1), st.integers(0, 2**44 - 1)), unique=True, max_size=40))
def test_no_two_documents_have_the_same_key(seed: int, places: list[tuple[int, int]]) -> None:
    keys = [int(document_keys(file, np.array([position]), seed)[0]) for file, position in places]
    assert len(set(keys)) == len(keys)


def test_without_a_seed_the_keys_keep_the_order_of_the_inputs() -> None:
    keys = np.concatenate([document_keys(file, np.array([0, 5, 2**44 - 1]), None) for file in (0, 1, 2**20 - 1)])
    assert (np.diff(keys.astype(np.object_)) > 0).all()


def test_keys_spread_evenly_so_that_ranges_of_them_hold_equal_shares() -> None:
    counts = np.bincount(document_keys(3, np.arange(64_000) * 97, 1) >> np.uint64(58), minlength=64)
    assert counts.min() > 850 and counts.max() < 1150


def test_another_seed_is_another_order() -> None:
    positions = np.arange(1000)
    one, other = (np.argsort(document_keys(0, positions, seed)) for seed in (1, 2))
    assert (one == other).mean() < 0.02
    assert (one == positions).mean() < 0.02


def test_keys_are_fixed_for_ever() -> None:
    """A build that was begun by an older version goes on with the same order."""
    assert document_keys(1, np.array([7]), 1234).tolist() == [1297278248348902883]
    assert document_keys(1, np.array([7]), None).tolist() == [(1 << POSITION_BITS) + 7]
