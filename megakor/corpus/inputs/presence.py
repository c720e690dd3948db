"""Fields that no input can have, as far as that can be told before anything is read."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from megakor.corpus.inputs import arrow, parquet
from megakor.corpus.inputs.columns import find
from megakor.corpus.inputs.kinds import ARROW, DATASET, JSON_LINES, PARQUET
from megakor.corpus.inputs.records import InputFile

_SCHEMAS = {PARQUET: parquet.schema, ARROW: arrow.schema}
_OPEN = (JSON_LINES, DATASET)
"""Kinds whose fields are only known when every record has been read."""


def absent(files: Sequence[InputFile], names: Sequence[str]) -> list[str]:
    """Those of the fields that are a column of no table among the inputs; none of them if any input may have others.

    Raises DataError for a table that cannot be read.
    """
    missing = list(names)
    if any(file.kind in _OPEN for file in files):
        return []
    for file in files:
        if missing and file.kind in _SCHEMAS:
            schema: pa.Schema = _SCHEMAS[file.kind](file.path)
            missing = [name for name in missing if find(schema, name) is None]
    return missing
