"""Stub."""

from __future__ import annotations

from collections.abc import Iterator

from megakor.corpus.inputs.records import Fields, Portion, Records


def read_dataset(portion: Portion, fields: Fields) -> Iterator[Records]:
    raise NotImplementedError


def group_sizes(path: str) -> list[int]:
    raise NotImplementedError


batch_sizes = group_sizes


def count_shards(path: str) -> int:
    raise NotImplementedError
