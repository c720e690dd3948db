"""Which reader a file belongs to, by its name, and what the first bytes of a file say against it."""

from __future__ import annotations

from pathlib import Path

from megakor.errors import DataError

JSON_LINES, PARQUET, ARROW, TEXT, DATASET = "jsonl", "parquet", "arrow", "text", "dataset"
DATASET_PREFIX = "hf:"
SAVED_STATE, SAVED_SPLITS = "state.json", "dataset_dict.json"
"""What `datasets` writes with `save_to_disk`: a list of Arrow files, and a list of splits, each a directory."""
SAVED = (SAVED_STATE, SAVED_SPLITS)

_KINDS = {
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".json": JSON_LINES,
    ".parquet": PARQUET,
    ".pq": PARQUET,
    ".arrow": ARROW,
    ".arrows": ARROW,
    ".feather": ARROW,
    ".ipc": ARROW,
    ".txt": TEXT,
    ".text": TEXT,
    ".md": TEXT,
    ".markdown": TEXT,
}
_COMPRESSIONS = {
    ".gz": "gzip",
    ".gzip": "gzip",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".bz2": "bz2",
    ".lz4": "lz4",
    ".br": "brotli",
    ".xz": "xz",
}
_COMPRESSIBLE = (JSON_LINES, TEXT)


def _endings(*kinds: str) -> str:
    return ", ".join(ending for ending, kind in _KINDS.items() if kind in kinds)


PACKINGS = ", ".join(_COMPRESSIONS)
KNOWN = (
    f"known are {_endings(JSON_LINES)} (one object a line), {_endings(TEXT)}, each of them also with {PACKINGS} behind "
    f"it, {_endings(PARQUET)}, {_endings(ARROW)}"
)
"""In words, for errors and --help."""
_FOREIGN = {
    b"\x1f\x8b": "is gzip-compressed; give it a name that ends in .gz",
    b"\x28\xb5\x2f\xfd": "is zstd-compressed; give it a name that ends in .zst",
    b"\xfd7zXZ\0": "is xz-compressed; give it a name that ends in .xz",
    b"BZh": "is bzip2-compressed; give it a name that ends in .bz2",
    b"\x04\x22\x4d\x18": "is lz4-compressed; give it a name that ends in .lz4",
    b"PK\x03\x04": "is a zip archive; unpack it first",
    b"PAR1": "is a Parquet file; give it a name that ends in .parquet",
    b"ARROW1": "is an Arrow file; give it a name that ends in .arrow",
    b"\xff\xfe": "is UTF-16; convert it (iconv -f UTF-16 -t UTF-8)",
    b"\xfe\xff": "is UTF-16; convert it (iconv -f UTF-16 -t UTF-8)",
}


def kind_of(path: Path) -> tuple[str, str | None] | None:
    """(kind, compression) of a file by its name, whatever its case; None for a name that says nothing known."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    compression = _COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    if compression:
        suffixes.pop()
    kind = _KINDS.get(suffixes[-1]) if suffixes else None
    if kind is None or (compression and kind not in _COMPRESSIBLE):
        return None
    return kind, compression


def check_beginning(path: str, beginning: bytes) -> None:
    """Raises DataError where the first bytes of a file that should be plain UTF-8 text are of another format."""
    for mark, sentence in _FOREIGN.items():
        if beginning.startswith(mark):
            raise DataError(f"{path}: not plain text: the file {sentence}.")
