"""A sample of large inputs, written as JSON Lines (see `take_sample` for which documents it holds)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from megakor.corpus.inputs.records import Fields
from megakor.corpus.tokenizer_sample import MEGABYTE, Reading, take_sample
from megakor.errors import ConfigError
from megakor.storage import make_directory, new_text_file


@dataclass(frozen=True)
class SampleReport:
    """What was kept of one language; bytes are UTF-8 bytes of text."""

    language: str
    path: Path
    documents_read: int
    documents_kept: int
    bytes_read: int
    bytes_kept: int

    def __str__(self) -> str:
        read, kept = self.bytes_read / MEGABYTE, self.bytes_kept / MEGABYTE
        if self.documents_kept == self.documents_read:
            return f"{self.language}: all {self.documents_read:,} documents, {read:.1f} MB"
        return (
            f"{self.language}: a sample of {self.documents_kept:,} of {self.documents_read:,} documents read, "
            f"{kept:.1f} of {read:.1f} MB"
        )


def prepare_user_sample(
    paths: Mapping[str, Sequence[str | Path]],
    output_directory: Path,
    max_megabytes: float,
    seed: int,
    key: str = "text",
) -> list[SampleReport]:
    """Write OUTPUT/LANGUAGE.jsonl with at most `max_megabytes` of text for each language of `paths`.

    `paths` maps a language to its inputs, of any kind that `list_inputs` knows. Raises DataError (bad document, no
    text), StorageError.
    """
    if max_megabytes <= 0:
        raise ConfigError(f"{max_megabytes} MB of sample: give a size above 0.")
    make_directory(output_directory)
    reading = Reading(Fields(key, text_unit="paragraph"), seed)
    reports = []
    for language, inputs in paths.items():
        sample = take_sample(list(map(str, inputs)), int(max_megabytes * MEGABYTE), 0, reading)
        target = output_directory / f"{language}.jsonl"
        with new_text_file(target) as out:
            for text in sample.training.texts():
                out.write(json.dumps({"text": text, "language": language}, ensure_ascii=False) + "\n")
        kept = sample.training
        reports.append(SampleReport(language, target, sample.documents_seen, len(kept), sample.bytes_seen, kept.bytes))
    return reports
