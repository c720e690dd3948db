"""Several tokenizers on the same text, side by side."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from megakor.config.vocabulary import tokenizer_file
from megakor.corpus.inputs.records import Fields
from megakor.corpus.tokenizer import Tokenizer
from megakor.corpus.tokenizer_limits import check_outputs, check_sample
from megakor.corpus.tokenizer_report import measure, table, with_all
from megakor.corpus.tokenizer_sample import MEGABYTE, Reading, take_sample
from megakor.errors import ConfigError
from megakor.storage import make_directory, new_text_file, write_text


@dataclass(frozen=True)
class ComparisonOptions:
    """One comparison; the command line's options."""

    tokenizers: Mapping[str, str]
    """Name -> path. The first is what the others are related to."""
    inputs: Mapping[str, Sequence[str]]
    """Language -> paths, globs, directories and datasets; text that no tokenizer was trained on."""
    max_megabytes: float = 10.0
    """Of text, over all languages."""
    seed: int = 1234
    json_key: str = "text"
    text_unit: str = "file"
    on_error: str = "fail"
    json_file: Path | None = None
    csv_file: Path | None = None

    def validate(self) -> None:
        """Raises ConfigError for options that cannot work."""
        check_sample(self.max_megabytes, self.seed)
        if self.json_file and self.csv_file and self.json_file.resolve() == self.csv_file.resolve():
            raise ConfigError(f"--json and --csv: both are {self.json_file}; give two files.")


def compare_tokenizers(options: ComparisonOptions) -> list[str]:
    """Measure every tokenizer on every language, write the files that are asked for, and return the lines of the table.

    `relative` is the number of tokens, as a multiple of the first tokenizer's for the same text.
    """
    options.validate()
    loaded = {name: Tokenizer.load(path) for name, path in options.tokenizers.items()}
    files = [tokenizer_file(Path(path)) for path in options.tokenizers.values()]
    for option, path in (("--json", options.json_file), ("--csv", options.csv_file)):
        check_outputs(option, [path] if path else [], options.inputs, files)
    texts = _texts(options)
    rows: list[dict[str, Any]] = []
    for name, tokenizer in loaded.items():
        figures = with_all({language: measure(tokenizer, there) for language, there in texts.items()})
        known = {"tokenizer": name, "vocabulary_size": tokenizer.vocabulary_size}
        rows += [{**known, "language": language, **one.to_json()} for language, one in figures.items()]
    first = {row["language"]: row["tokens"] for row in rows[: len(rows) // len(loaded)]}
    for row in rows:
        row["relative_tokens"] = row["tokens"] / max(1, first[row["language"]])
    _write(options, loaded, rows)
    return _lines(rows)


def _texts(options: ComparisonOptions) -> dict[str, list[str]]:
    budget = int(options.max_megabytes * MEGABYTE / len(options.inputs))
    reading = Reading(Fields(options.json_key, text_unit=options.text_unit), options.seed, options.on_error)
    return {
        language: take_sample(inputs, budget, 0, reading).training.texts()
        for language, inputs in options.inputs.items()
    }


def _lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    named = [
        (
            (row["tokenizer"], row["language"], f"{row['vocabulary_size']:,}", f"{row['relative_tokens']:.3f}"),
            row,
        )
        for row in rows
    ]
    return table(("tokenizer", "language", "vocabulary", "relative"), named)


def _write(options: ComparisonOptions, loaded: Mapping[str, Tokenizer], rows: Sequence[dict[str, Any]]) -> None:
    for path in (options.json_file, options.csv_file):
        if path is not None:
            make_directory(path.parent)
    if options.json_file is not None:
        tokenizers = {
            name: {"path": options.tokenizers[name], "sha256": one.sha256, "vocabulary_size": one.vocabulary_size}
            for name, one in loaded.items()
        }
        content = {"format": "megakor-tokenizer-comparison-1", "tokenizers": tokenizers, "rows": rows}
        write_text(options.json_file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    if options.csv_file is not None:
        with new_text_file(options.csv_file) as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
