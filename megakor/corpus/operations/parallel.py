"""Parallel documents: those of different languages that share an id stand side by side in a row.

Memory: 60 bytes or so for each document that has an id, while they are sorted; the documents themselves are read when
their turn comes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from megakor.corpus.fields.draws import draws
from megakor.corpus.metadata import LANGUAGE
from megakor.corpus.operations.batch import DocumentBatch
from megakor.corpus.operations.pieces import Piece, Unit
from megakor.corpus.operations.supply import AFTER, BEFORE, Place, Supply, added_tokens
from megakor.errors import ConfigError, DataError
from megakor.units import counted

ALONE, FOLLOWS = -1, -2
_MEMBER = np.dtype(
    [
        ("id", np.uint64),  # a hash of the id
        ("document", np.int64),
        ("token", np.int64),  # where the document begins in its shard
        ("length", np.int64),
        ("shard", np.int32),
        ("language", np.int32),
        ("before", np.int32),
        ("after", np.int32),
    ]
)


@dataclass(frozen=True)
class LeftAlone:
    """What has an id and no place in a group."""

    missing_partner: int
    """Ids of documents of one language alone."""
    too_long: int
    """Ids whose documents do not fit into a row together."""
    second: int
    """Documents after the first with their id and language."""

    def reasons(self) -> list[str]:
        """A clause for each that there is."""
        clauses = (
            (self.missing_partner, "{} without a partner in another language", "id"),
            (self.too_long, "{} too long for a row together", "id"),
            (self.second, "{} with an id that an earlier one of the same language has", "document"),
        )
        return [clause.format(counted(number, noun)) for number, clause, noun in clauses if number]


@dataclass(frozen=True)
class ParallelDocuments:
    """Groups of documents of different languages with the same id, one of each language, by number of the document."""

    supply: Supply
    languages: tuple[str, ...]
    members: np.ndarray
    """Structured (members,), a group after the other, the one that comes first in its row first."""
    starts: np.ndarray
    """int64 (groups + 1,): where each group begins in `members`."""
    documents: np.ndarray
    """int64 (members,), ascending: numbers of the documents that belong to a group,"""
    groups: np.ndarray
    """and the group of each where it comes first in its row, else FOLLOWS."""
    left: LeftAlone

    def summary(self) -> str:
        """How many groups there are, and why other documents with an id are in none."""
        reasons = self.left.reasons()
        groups = f"{counted(len(self.starts) - 1, 'group')} of parallel documents"
        return f"{groups}; not in one: {', '.join(reasons)}" if reasons else groups

    @classmethod
    def find(cls, supply: Supply, field: str, row_tokens: int, seed: int) -> ParallelDocuments:
        """Sort all ids; a group that is longer than a row counts as separate documents.

        The first of a group is drawn by its id, so that no language always comes first.

        Raises:
            ConfigError: the shards have no such field.
            DataError: no id is shared by documents of two languages.
        """
        if field not in supply.shards.schema.names:
            raise ConfigError(
                f"--pair-field {field}: the shards have no such metadata; they have "
                f"{', '.join(supply.shards.schema.names)}. Build them with --metadata-keys {field}."
            )
        names: dict[str, int] = {}
        found = [_identified(place, batch, field, names) for place, batch in supply.batches()]
        members = np.concatenate(found) if found else np.empty(0, _MEMBER)
        members = members[np.lexsort((members["document"], members["language"], members["id"]))]
        ones = members[_differs(members["id"]) | _differs(members["language"])]  # one of each language
        second = len(members) - len(ones)
        members, missing_partner, too_long = _grouped(ones, row_tokens, seed)
        left = LeftAlone(missing_partner, too_long, second)
        if not len(members):
            why = f" There are {', '.join(left.reasons())}." if left.reasons() else ""
            raise DataError(
                f"--pair-field {field}: no value is shared by documents of two languages that fit into a row of "
                f"{row_tokens:,} tokens together.{why}"
            )
        firsts = np.flatnonzero(_differs(members["id"]))
        group = np.full(len(members), FOLLOWS, dtype=np.int64)
        group[firsts] = np.arange(len(firsts))
        order = np.argsort(members["document"])
        starts = np.append(firsts, len(members))
        return cls(supply, tuple(names), members, starts, members["document"][order], group[order], left)

    def roles(self, numbers: np.ndarray) -> np.ndarray:
        """For each document the group that it comes first in, FOLLOWS or ALONE; int64."""
        places = np.minimum(np.searchsorted(self.documents, numbers), len(self.documents) - 1)
        return np.where(self.documents[places] == numbers, self.groups[places], ALONE)

    def unit(self, group: int) -> Unit:
        """The documents of a group, read now."""
        return Unit(tuple(self._pieces(self.members[self.starts[group] : self.starts[group + 1]])))

    def _pieces(self, members: np.ndarray) -> Iterator[Piece]:
        for member in members:
            reader = self.supply.shards.readers[int(member["shard"])]
            tokens = reader.read(int(member["token"]), int(member["length"]))
            spans = self.supply.spans(len(tokens), int(member["before"]), int(member["after"]))
            yield Piece(tokens, int(member["document"]), self.languages[member["language"]], 0, spans)


def _identified(place: Place, batch: DocumentBatch, field: str, names: dict[str, int]) -> np.ndarray:
    """The documents of a batch that have an id and a token."""
    ids = batch.metadata.column(field).to_pylist()
    languages = batch.metadata.column(LANGUAGE).to_pylist()
    chosen = [number for number in np.flatnonzero(batch.lengths).tolist() if ids[number] not in (None, "")]
    members = np.empty(len(chosen), _MEMBER)
    members["id"] = [_hashed(ids[number]) for number in chosen]
    members["document"] = place.document + np.array(chosen, dtype=np.int64)
    members["token"] = place.token + batch.starts[chosen]
    members["length"] = batch.lengths[chosen]
    members["shard"] = place.shard
    members["language"] = [names.setdefault(languages[number], len(names)) for number in chosen]
    members["before"], members["after"] = added_tokens(batch, BEFORE)[chosen], added_tokens(batch, AFTER)[chosen]
    return members


def _grouped(members: np.ndarray, row_tokens: int, seed: int) -> tuple[np.ndarray, int, int]:
    """The groups of two members or more that fit into a row, the first of each drawn, sorted by id; and how many groups
    there are of one member, and how many that do not fit."""
    opens = _differs(members["id"])
    group = np.cumsum(opens) - 1
    sizes, tokens = np.bincount(group), np.bincount(group, weights=members["length"])
    kept = (sizes > 1) & (tokens <= row_tokens)
    rank = np.arange(len(members)) - np.flatnonzero(opens)[group]
    first = (draws(members["id"][opens], seed, "first of parallel documents") * sizes).astype(np.int64)
    turned = (rank - first[group]) % sizes[group]  # who is drawn comes first, the others follow in their order
    order = np.lexsort((turned, group))
    return members[order][kept[group[order]]], int((sizes == 1).sum()), int(((sizes > 1) & (tokens > row_tokens)).sum())


def _differs(values: np.ndarray) -> np.ndarray:
    """Where a value is another than the one before; the first always is."""
    return np.concatenate((np.ones(min(len(values), 1), bool), values[1:] != values[:-1]))


def _hashed(value: object) -> int:
    return int.from_bytes(hashlib.blake2b(str(value).encode("utf-8", "replace"), digest_size=8).digest(), "little")
