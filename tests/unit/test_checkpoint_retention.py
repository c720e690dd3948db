"""Which checkpoints stay."""

from hypothesis import given, settings
from hypothesis import strategies as st

from megakor.checkpoint.retention import expired

COUNTS = st.lists(st.integers(1, 10**12), min_size=1, unique=True)
EVERY = st.none() | st.integers(1, 10**10)


@settings(deadline=None)
@given(COUNTS, st.integers(1, 5), EVERY)
def test_the_newest_always_stay(counts: list[int], keep: int, keep_every: int | None) -> None:
    assert not set(expired(counts, keep, keep_every)) & set(sorted(counts)[-keep:])


@settings(deadline=None)
@given(COUNTS, st.integers(1, 5), st.integers(1, 10**10))
def test_the_first_checkpoint_at_or_after_each_multiple_stays(counts: list[int], keep: int, keep_every: int) -> None:
    stay = set(counts) - set(expired(counts, keep, keep_every))
    for count in counts:
        multiple = count // keep_every * keep_every
        if multiple:
            assert min(other for other in counts if other >= multiple) in stay


@settings(deadline=None)
@given(COUNTS, st.integers(1, 5), EVERY)
def test_what_stays_once_stays_when_asked_again(counts: list[int], keep: int, keep_every: int | None) -> None:
    stay = sorted(set(counts) - set(expired(counts, keep, keep_every)))
    assert expired(stay, keep, keep_every) == []


@settings(deadline=None)
@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=60, unique=True), st.integers(1, 4), st.integers(1, 10**5))
def test_a_run_that_deletes_as_it_goes_keeps_what_one_that_deletes_at_the_end_keeps(
    counts: list[int], keep: int, keep_every: int
) -> None:
    alive: list[int] = []
    for count in sorted(counts):
        alive.append(count)
        alive = [other for other in alive if other not in expired(alive, keep, keep_every)]
    assert alive == sorted(set(counts) - set(expired(counts, keep, keep_every)))


def test_zero_keeps_all() -> None:
    assert expired(range(100), 0, None) == []


def test_the_only_checkpoint_stays() -> None:
    assert expired([5], 1, 1000) == []


def test_a_pinned_checkpoint_stays() -> None:
    assert expired([1, 2, 3, 4, 5], 2, None, pinned=2) == [1, 3]
    assert expired([1, 2, 3], 2, None, pinned=9) == [1]
