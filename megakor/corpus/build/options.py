"""What one build of shards is asked to do: the command line's options, checked."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from megakor.corpus.build.columns import check_names
from megakor.corpus.engines.load import require_fitting
from megakor.corpus.fields.conditioning import DOCUMENT_ID, Conditioning
from megakor.corpus.fields.expression import parse
from megakor.corpus.fields.template import Template
from megakor.corpus.manifest import VALIDATION_SUFFIX
from megakor.corpus.shard_writer import shard_file
from megakor.errors import ConfigError

TEXT_UNITS = ("file", "paragraph", "line")


@dataclass(frozen=True)
class PreprocessOptions:
    """One build of shards from text."""

    inputs: tuple[str, ...]
    """Files, directories, globs and datasets; see `megakor.corpus.inputs.listing`."""
    output_prefix: Path
    tokenizer: Path
    json_keys: tuple[str, ...] = ("text",)
    """A shard is built for each; a dot enters nested objects."""
    append_eod: bool = False
    workers: int = 1
    engine: str = "auto"
    language: str = ""
    language_key: str | None = None
    source: str = ""
    """Name of the source in the metadata; empty for the path of each input."""
    source_key: str | None = None
    metadata_keys: tuple[str, ...] = ()
    text_unit: str = "file"
    normalize: bool = False
    minimum_characters: int = 0
    maximum_characters: int | None = None
    where: str | None = None
    prepend: str | None = None
    prepend_probability: float = 1.0
    append: str | None = None
    append_probability: float = 1.0
    document_id: str | None = None
    conditioning_seed: int = 1234
    holdout_share: float = 0.0
    holdout_seed: int = 1234
    holdout_exclusive_sentences: bool = False
    holdout_minimum_characters: int = 50
    shuffle_seed: int | None = 1234
    """None keeps the order of the input."""
    on_error: str = "fail"
    max_errors: int | None = None
    overwrite: bool = False
    task_bytes: int | None = None
    """Bytes of input of one task; None chooses by the size of the inputs. It never changes the output."""

    def validate(self) -> None:
        """Raises ConfigError for options that cannot work."""
        if not 0 <= self.holdout_share < 1:
            raise ConfigError(f"--holdout-share {self.holdout_share}: give a share from 0 to below 1, such as 0.01.")
        if self.workers < 1:
            raise ConfigError(f"--workers {self.workers}: at least 1 process is needed.")
        if self.holdout_exclusive_sentences and not self.holdout_share:
            raise ConfigError("--holdout-exclusive-sentences needs a --holdout-share above 0.")
        if self.text_unit not in TEXT_UNITS:
            raise ConfigError(f"--text-unit {self.text_unit}: one of {', '.join(TEXT_UNITS)}.")
        if self.on_error not in ("fail", "skip"):
            raise ConfigError(f"--on-error {self.on_error}: fail or skip.")
        if self.max_errors is not None and (self.max_errors < 0 or self.on_error == "fail"):
            raise ConfigError(f"--max-errors {self.max_errors}: a number from 0, together with --on-error skip.")
        if self.maximum_characters is not None and self.maximum_characters < max(1, self.minimum_characters):
            raise ConfigError(
                f"--max-chars {self.maximum_characters} is below 1 or below --min-chars {self.minimum_characters}: no "
                "document would be left."
            )
        for option in ("prepend", "append"):
            if getattr(self, option) is None and getattr(self, f"{option}_probability") != 1:
                raise ConfigError(f"--{option}-probability says how often, --{option} what: give both.")
        for option, seed in (("--holdout-seed", self.holdout_seed), ("--conditioning-seed", self.conditioning_seed)):
            if not -(2**63) <= seed < 2**63:
                raise ConfigError(f"{option} {seed}: a number that 64 bits hold.")
        if self.task_bytes is not None and self.task_bytes < 1:
            raise ConfigError("--task-megabytes must be above 0.")
        if len(set(self.json_keys)) < len(self.json_keys):
            raise ConfigError(f"--json-keys {' '.join(self.json_keys)}: a key is named twice.")
        for prefix in map(self.prefix, self.json_keys):
            if prefix.is_dir():
                raise ConfigError(
                    f"--output-prefix {prefix} is a directory: give a name in it, such as {prefix / 'ko'}"
                )
        self._check_prefixes()
        check_names(self.metadata_keys)
        require_fitting(self.engine, self.tokenizer)
        self.record()

    def _check_prefixes(self) -> None:
        """Raises ConfigError for keys of which two give the same shard, or that are no part of a file's name."""
        names = [self.prefix(key) for key in self.json_keys]
        names += [shard_file(name, VALIDATION_SUFFIX) for name in names]
        if len(set(names)) < len(names):
            raise ConfigError(f"--json-keys {' '.join(self.json_keys)}: two of them would write the same shard.")
        if len(self.json_keys) > 1 and (bad := [key for key in self.json_keys if "/" in key or not key]):
            raise ConfigError(f"--json-keys: {bad[0]!r} cannot be part of a file's name; build it by itself.")

    @property
    def conditioning(self) -> Conditioning | None:
        """What is put before and after documents. Raises ConfigError."""
        made = Conditioning(
            prepend=self.prepend,
            append=self.append,
            prepend_probability=self.prepend_probability,
            append_probability=self.append_probability,
            seed=self.conditioning_seed,
            document_id=self.document_id,
        )
        return made if made.active else None

    def read_fields(self) -> dict[str, str]:
        """Every field of the input that is read beside the text, and the option that names it. Raises ConfigError."""
        named = [("--metadata-keys", name) for name in self.metadata_keys]
        named += [("--language-key", self.language_key or ""), ("--source-key", self.source_key or "")]
        named += [("--where", name) for name in (parse(self.where).fields if self.where else ())]
        if self.conditioning is not None:
            named.append(("--document-id", self.document_id or ""))
            templates = {"--prepend": self.prepend or "", "--append": self.append or ""}
            named += [
                (option, name)
                for option, text in templates.items()
                for name in Template.parse(text, option).fields
                if name != DOCUMENT_ID
            ]
        return {name: option for option, name in reversed(named) if name}

    def record(self) -> dict[str, Any]:
        """The options that decide what the tokens and their metadata are, as JSON. Raises ConfigError."""
        conditioning = self.conditioning
        return {
            "append_eod": self.append_eod,
            "language": self.language,
            "language_key": self.language_key,
            "source": self.source,
            "source_key": self.source_key,
            "metadata_keys": list(self.metadata_keys),
            "text_unit": self.text_unit,
            "normalize": "nfc" if self.normalize else "none",
            "min_chars": self.minimum_characters,
            "max_chars": self.maximum_characters,
            "where": parse(self.where).text if self.where else None,
            "conditioning": vars_of(conditioning),
            "holdout_share": self.holdout_share,
            "holdout_seed": self.holdout_seed,
            "holdout_exclusive_sentences": self.holdout_exclusive_sentences,
            "holdout_minimum_characters": self.holdout_minimum_characters,
            "shuffle_seed": self.shuffle_seed,
            "on_error": self.on_error,
        }

    def prefix(self, key: str) -> Path:
        """PREFIX for a single key, PREFIX_KEY for several."""
        return self.output_prefix if len(self.json_keys) == 1 else shard_file(self.output_prefix, f"_{key}")


def vars_of(conditioning: Conditioning | None) -> dict[str, Any] | None:
    """The arguments of a conditioning, as JSON."""
    if conditioning is None:
        return None
    return {field.name: getattr(conditioning, field.name) for field in fields(conditioning)}
