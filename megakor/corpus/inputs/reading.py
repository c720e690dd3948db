"""The documents of a portion, whatever its kind, in batches of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from megakor.corpus.inputs.arrow import read_arrow
from megakor.corpus.inputs.dataset import read_dataset
from megakor.corpus.inputs.jsonl import read_json_lines
from megakor.corpus.inputs.kinds import ARROW, DATASET, JSON_LINES, PARQUET, TEXT
from megakor.corpus.inputs.parquet import read_parquet
from megakor.corpus.inputs.plain_text import read_text
from megakor.corpus.inputs.records import Fields, Portion, Records

_READERS: dict[str, Callable[[Portion, Fields], Iterator[Records]]] = {
    JSON_LINES: read_json_lines,
    PARQUET: read_parquet,
    ARROW: read_arrow,
    TEXT: read_text,
    DATASET: read_dataset,
}


def read_portion(portion: Portion, fields: Fields) -> Iterator[Records]:
    """The documents of a portion in the order of the input, and the problems met between them.

    Raises DataError for a file that cannot be read at all: cut off, damaged, of another format, without the column.
    """
    size = portion.byte_stop - portion.byte_start
    told = 0
    for records in _READERS[portion.kind](portion, fields):
        # A reader may run ahead of what it gives, or past the portion to end its last line.
        records.bytes_read = min(max(0, records.bytes_read), size - told)
        told += records.bytes_read
        if records.positions or records.problems or records.bytes_read:
            yield records
    if told < size:
        yield Records(metadata={name: [] for name in fields.metadata}, bytes_read=size - told)
