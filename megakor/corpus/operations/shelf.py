"""A bounded window on a stream of units: the next one in order, or the longest that fits into the room there is."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from megakor.corpus.operations.pieces import Unit

_STALE = 1024  # numbers of units taken out of order that may pile up


class Shelf:
    """Holds up to `window_tokens` of a stream, and at least one unit while the stream has any."""

    def __init__(self, stream: Iterator[Unit], window_tokens: int) -> None:
        self.peak = 0
        """The most that it held, in tokens."""
        self._stream = stream
        self._window_tokens = window_tokens
        self._units: dict[int, Unit] = {}
        self._order: deque[int] = deque()  # may still name units that were taken
        self._by_length: dict[int, deque[int]] = {}
        self._lengths = 0  # bit n is set while there is a unit of n tokens
        self._weight = self._added = 0

    def fill(self) -> bool:
        """Top up from the stream; whether there is any unit."""
        while self._weight < self._window_tokens and (unit := next(self._stream, None)) is not None:
            self._added += 1
            self._units[self._added] = unit
            self._order.append(self._added)
            self._by_length.setdefault(unit.tokens, deque()).append(self._added)
            self._count(unit, 1)
        return bool(self._units)

    @property
    def shortest(self) -> int | None:
        """Tokens of the shortest unit; None without any."""
        return (self._lengths & -self._lengths).bit_length() - 1 if self._lengths else None

    def take(self, room: int, reserved: int = 0) -> Unit | None:
        """The next unit in order if it fits into `room`, else the longest that does, else None.

        `reserved` tokens stay free unless the unit has several languages itself.
        """
        if not self._units:
            return None
        head = self._head()
        if head.tokens <= (room if len(head.languages) > 1 else room - reserved):
            return self._remove(head.tokens)
        fitting = self._lengths & ((1 << max(room - reserved + 1, 0)) - 1)
        return self._remove(fitting.bit_length() - 1) if fitting else None

    def take_part(self, room: int) -> Unit | None:
        """The next unit in order, or as much of it as `room` holds: the rest stays where it was."""
        if not self._units:
            return None
        head = self._head()
        unit = self._remove(head.tokens)
        if unit.tokens <= room:
            return unit
        unit, rest = unit.split(room)
        number = -self._added  # before all others, and never the number of another
        self._added += 1
        self._units[number] = rest
        self._order.appendleft(number)
        self._by_length.setdefault(rest.tokens, deque()).appendleft(number)
        self._count(rest, 1)
        return unit

    def drain(self) -> Iterator[Unit]:
        """All units that are left, in order."""
        while self.fill():
            yield self._remove(self._head().tokens)

    def _head(self) -> Unit:
        while self._order[0] not in self._units:
            self._order.popleft()
        return self._units[self._order[0]]

    def _remove(self, tokens: int) -> Unit:
        """The next unit in order among those of this length."""
        unit = self._units.pop(self._by_length[tokens].popleft())
        self._count(unit, -1)
        if len(self._order) > 2 * len(self._units) + _STALE:
            self._order = deque(number for number in self._order if number in self._units)
        return unit

    def _count(self, unit: Unit, sign: int) -> None:
        self._weight += sign * unit.weight
        self.peak = max(self.peak, self._weight)
        if self._by_length[unit.tokens]:
            self._lengths |= 1 << unit.tokens
        else:
            self._lengths &= ~(1 << unit.tokens)
            del self._by_length[unit.tokens]
