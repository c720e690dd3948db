"""PREFIX.rows.arrow of a regrouped shard against its tokens."""

from __future__ import annotations

from megakor.corpus.index_file import IndexFile
from megakor.corpus.inspection.findings import Findings
from megakor.corpus.manifest import Manifest
from megakor.corpus.row_file import SUFFIX, RowFile
from megakor.corpus.shard_writer import shard_file


def has_rows(index: IndexFile) -> bool:
    """Whether the documents of a shard are rows."""
    return shard_file(index.prefix, SUFFIX).exists()


def check_row_count(index: IndexFile, findings: Findings) -> None:
    """As many rows as documents, of as many tokens. Raises DataError when the file cannot be read."""
    rows = RowFile(index.prefix)
    tokens = index.bin_bytes // index.dtype.itemsize
    if rows.rows != index.documents or rows.rows * rows.row_tokens != tokens:
        findings.add(
            rows.path,
            f"has {rows.rows:,} rows of {rows.row_tokens:,} tokens, the index {index.documents:,} documents and "
            f"{tokens:,} tokens; it is of another shard",
        )


def check_every_row(index: IndexFile, manifest: Manifest | None, findings: Findings) -> None:
    """Read all rows. Raises DataError for the first one whose numbers do not fit together."""
    rows = RowFile(index.prefix)
    tokens = sum(rows.row(number).tokens for number in range(rows.rows))
    if manifest is not None and tokens != manifest.tokens:
        findings.add(
            rows.path, f"its rows hold {tokens:,} tokens without their padding, the manifest says {manifest.tokens:,}"
        )
