"""A field of the metadata as numbers."""

from __future__ import annotations

from difflib import get_close_matches

import numpy as np
import pyarrow as pa

from megakor.errors import ConfigError


def column_of(metadata: pa.RecordBatch, field: str) -> pa.Array:
    """The values of a field. Raises ConfigError, with the nearest name, where there is none of this name."""
    names = metadata.schema.names
    if field not in names:
        near = get_close_matches(field, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names)}."
        raise ConfigError(f"--field {field}: the documents have no such field; {hint}")
    return metadata.column(field)


def numbers_of(metadata: pa.RecordBatch, field: str) -> np.ndarray:
    """The values of a field, float64 (documents,), NaN where there is none.

    Raises:
        ConfigError: there is no such field, or it does not hold numbers.
    """
    column = column_of(metadata, field)
    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise ConfigError(f"--field {field}: its values are {kind}; numbers are needed.")
    return column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False)
