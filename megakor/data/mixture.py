"""How many rows of a global batch come from each source: exact integer carries, no randomness, no horizon.

Every batch adds to each source its share of the batch's tokens and takes off what the source gave. What is left, the
carry, is an integer in units of 1/SHARE token; the carries of the sources in use always sum to zero. Rows go to the
source that is owed most, as in the cup game (emptying the fullest cup), which keeps every source within 1 + ln(number
of sources) rows of its intended integral, for any weights and any changes of weights.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType

from megakor.errors import DataError

SHARE = 1 << 40
"""Weights are integers that sum to this."""


class DataExhaustedError(DataError):
    """The sources that are still open cannot fill the next batch. The stream is left before that batch."""


class CapPassedError(DataExhaustedError):
    """The next batch would take a source past a cap at which the run has to fail."""


@dataclass(frozen=True)
class Quotas:
    """The plan of one batch: `rows` from each source, and `shares` of SHARE that they were derived from."""

    rows: dict[str, int]
    shares: dict[str, int]


@dataclass
class Mixture:
    """Carries by source, and what was dropped of them when a source closed or left the mixture.

    A source is in use while it has a weight above zero, and rows left or the run ends with it. Both maps are in units
    of 1/SHARE token.
    """

    carries: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)

    def plan(
        self,
        weights: Mapping[str, float],
        rows: int,
        length: int,
        left: Mapping[str, int | None],
        means: Mapping[str, int] = MappingProxyType({}),
        ending: Collection[str] = (),
    ) -> Quotas:
        """Divide `rows` rows of `length` tokens; call `settle` when they have been taken.

        Args:
            weights: share of each source; those of closed sources go to the others.
            left: rows that each source can still give, None for no limit.
            means: tokens of an average row of the sources whose rows have padding.
            ending: sources that hand on nothing when they have no rows left: what they are owed adds up.

        Raises:
            DataExhaustedError: fewer than `rows` rows are left in all.
        """
        open_now = {source for source in weights if left[source] != 0 or source in ending}
        in_use = {source: weight for source, weight in weights.items() if weight > 0 and source in open_now}
        limits = {source: left[source] for source in in_use}
        _check_enough(rows, limits)
        shares = quantised(in_use)
        self._change_members(shares)
        sizes = {source: SHARE * means.get(source, length) for source in shares}
        expected = self._expected(shares, rows, sizes)
        due = {source: self.carries[source] + shares[source] * expected for source in shares}
        return Quotas(_quotas(due, rows, sizes, limits), shares)

    def owed(
        self, weights: Mapping[str, float], rows: int, length: int, means: Mapping[str, int] = MappingProxyType({})
    ) -> dict[str, int]:
        """Whole rows of the next batch that each source owes, whatever it has left."""
        trial = Mixture(dict(self.carries))
        shares = quantised({source: weight for source, weight in weights.items() if weight > 0})
        trial._change_members(shares)
        sizes = {source: SHARE * means.get(source, length) for source in shares}
        expected = trial._expected(shares, rows, sizes)
        return {source: (trial.carries[source] + shares[source] * expected) // sizes[source] for source in shares}

    def settle(self, shares: Mapping[str, int], tokens: Mapping[str, int]) -> None:
        """Book a batch: `tokens` that each source gave."""
        total = sum(tokens.values())
        for source, share in shares.items():
            self.carries[source] += share * total - SHARE * tokens[source]

    def _expected(self, shares: Mapping[str, int], rows: int, sizes: Mapping[str, int]) -> int:
        """Tokens of a batch of `rows` rows in which every source gets its share and its carry: (carry + share x tokens)
        / size rows of each, `rows` in all. Carries sum to zero, so rows of one size make `rows` x size."""
        owed = sum(Fraction(self.carries[source], size) for source, size in sizes.items())
        of_a_token = sum(Fraction(shares[source], size) for source, size in sizes.items())
        return int((rows - owed) / of_a_token)

    def _change_members(self, shares: Mapping[str, int]) -> None:
        """Let sources in with a carry of zero; drop the carry of those that left and share it among the others."""
        gone = [source for source in self.carries if source not in shares]
        owed = sum(self.carries[source] for source in gone)
        for source in gone:
            self.dropped[source] = self.dropped.get(source, 0) + self.carries.pop(source)
        for source, part in split(owed, shares).items():
            self.carries[source] = self.carries.get(source, 0) + part


def quantised(weights: Mapping[str, float]) -> dict[str, int]:
    """Weights as integers above zero that sum to SHARE."""
    return split(SHARE, {source: max(1, int(weight * SHARE)) for source, weight in weights.items()})


def split(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Divide an integer in proportion to integer weights, exactly: floors, then the largest remainders.

    Ties go to the smaller key, so that the order in which sources are listed does not matter.
    """
    whole = sum(weights.values())
    parts = {source: total * weight // whole for source, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda source: (-(total * weights[source] % whole), source))
    for source in by_remainder[: total - sum(parts.values())]:
        parts[source] += 1
    return parts


def _quotas(
    due: Mapping[str, int], rows: int, sizes: Mapping[str, int], limits: Mapping[str, int | None]
) -> dict[str, int]:
    """Whole rows for each source, `rows` in all, each going to the source that is owed most among the open ones."""

    def clamp(source: str, count: int) -> int:
        limit = limits[source]
        return max(0, count if limit is None else min(count, limit))

    counts = {source: clamp(source, amount // sizes[source]) for source, amount in due.items()}

    def owed(source: str) -> tuple[int, str]:
        return due[source] - counts[source] * sizes[source], source

    while (missing := rows - sum(counts.values())) > 0:
        open_sources = [source for source in due if clamp(source, counts[source] + 1) > counts[source]]
        counts[max(open_sources, key=owed)] += 1
    while missing < 0:
        counts[min((source for source in due if counts[source]), key=owed)] -= 1
        missing += 1
    return counts


def _check_enough(rows: int, limits: Mapping[str, int | None]) -> None:
    bounded = [limit for limit in limits.values() if limit is not None]
    if len(bounded) == len(limits) and sum(bounded) < rows:
        raise DataExhaustedError(
            f"the data are exhausted: the next batch needs {rows:,} rows, and {sum(bounded):,} are left under the caps "
            "of this phase's sources. Raise data.sources.NAME.epochs, add a source, or lower train.tokens."
        )
