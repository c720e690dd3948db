"""A sample of large inputs: the documents with the smallest keyed hash of their text, up to a number of bytes.

The sample depends on the texts and the seed alone, not on their order or on how they are spread over files.
"""

from __future__ import annotations

import json
import tempfile
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from megakor.corpus.documents import InputFiles, Line, expand_inputs, parse_text
from megakor.corpus.holdout import keyed_hash
from megakor.errors import ConfigError, DataError
from megakor.storage import make_directory, new_text_file, storage_errors

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class SampleReport:
    """What was kept of one language; bytes are UTF-8 bytes of text."""

    language: str
    path: Path
    documents_seen: int
    documents_kept: int
    bytes_seen: int
    bytes_kept: int

    def __str__(self) -> str:
        seen, kept = self.bytes_seen / MEGABYTE, self.bytes_kept / MEGABYTE
        if self.documents_kept == self.documents_seen:
            return f"{self.language}: all {self.documents_seen:,} documents, {seen:.1f} MB"
        return (
            f"{self.language}: a sample of {self.documents_kept:,} of {self.documents_seen:,} documents, "
            f"{kept:.1f} of {seen:.1f} MB"
        )


def prepare_user_sample(
    paths: Mapping[str, Sequence[str | Path]],
    output_directory: Path,
    max_megabytes: float,
    seed: int,
    key: str = "text",
) -> list[SampleReport]:
    """Write OUTPUT/LANGUAGE.jsonl with at most `max_megabytes` of text for each language of `paths`.

    `paths` maps a language to its .jsonl or .jsonl.gz files. Raises DataError (bad line, no text), StorageError.
    """
    if max_megabytes <= 0:
        raise ConfigError(f"{max_megabytes} MB of sample: give a size above 0.")
    make_directory(output_directory)
    reports = []
    for language, inputs in paths.items():
        target = output_directory / f"{language}.jsonl"
        with storage_errors(target):
            scratch = tempfile.TemporaryDirectory(prefix=".megakor-", dir=output_directory)
        with scratch, InputFiles(expand_inputs(inputs), Path(scratch.name)) as files:
            indices, sizes, hashes = _survey(files, key, seed)
            if not len(indices):
                raise DataError(f"{', '.join(map(str, inputs))}: the corpus is empty: no document with text.")
            chosen = choose(hashes, sizes, int(max_megabytes * MEGABYTE))
            _write(target, language, key, (files.line(int(index)) for index in indices[chosen]))
        kept_bytes = int(sizes[chosen].sum())
        reports.append(SampleReport(language, target, len(indices), len(chosen), int(sizes.sum()), kept_bytes))
    return reports


def choose(hashes: np.ndarray, sizes: np.ndarray, budget: int) -> np.ndarray:
    """Ascending indices of the documents with the smallest hashes that fit into `budget` bytes together; never none."""
    by_hash = np.argsort(hashes, kind="stable")
    fitting = int(np.searchsorted(np.cumsum(sizes[by_hash]), budget, side="right"))
    return np.sort(by_hash[: max(1, fitting)])


def _survey(files: InputFiles, key: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Line index, bytes (int64) and keyed hash (uint64) of every document with text."""
    indices, sizes, hashes = array("q"), array("q"), array("Q")
    for index in range(len(files)):
        line = files.line(index)
        text = parse_text(line, key) if line.raw.strip() else ""
        if text.strip():
            indices.append(index)
            sizes.append(len(text.encode("utf-8")))
            hashes.append(keyed_hash(text, seed))
    return np.array(indices, dtype=np.int64), np.array(sizes, dtype=np.int64), np.array(hashes, dtype=np.uint64)


def _write(target: Path, language: str, key: str, lines: Iterator[Line]) -> None:
    with new_text_file(target) as out:
        for line in lines:
            record = {"text": parse_text(line, key), "language": language, "id": line.place}
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
