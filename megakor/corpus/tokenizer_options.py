"""What a training of a tokenizer can be asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from megakor.corpus.tokenizer import END_OF_DOCUMENT, LARGEST_VOCABULARY, PADDING
from megakor.corpus.tokenizer_limits import check_names, check_sample
from megakor.corpus.tokenizer_patterns import DIGITS, FAMILIES, O200K, RUNS, WHITESPACE
from megakor.errors import ConfigError

MARKERS = ("<think>", "</think>")
NORMALIZE = ("none", "nfc")
TOKENIZER, CONFIG, REPORT = "tokenizer.json", "tokenizer_config.json", "tokenizer_report.json"
"""What is written into the output directory."""


@dataclass(frozen=True)
class TokenizerOptions:
    """One training; the command line's options."""

    inputs: Mapping[str, Sequence[str]]
    """Language -> paths, globs, directories and datasets, of any kind that `list_inputs` knows."""
    output: Path
    vocabulary_size: int
    """Of everything: special tokens, markers and reserved ids, 256 bytes, merges."""
    weights: Mapping[str, float] | None = None
    """Share of each language in the training text, in bytes. Default: equal shares."""
    max_megabytes: float = 100.0
    """Of text, over all languages."""
    seed: int = 1234
    json_key: str = "text"
    text_unit: str = "file"
    """What a document of a .txt file is."""
    on_error: str = "fail"
    pieces: str = O200K
    digits: int = 3
    whitespace: str = RUNS
    """These three: see `pieces_pattern`."""
    normalize: str = "none"
    """`nfc`: composed characters at every encoding; decoding then gives the NFC form of a text."""
    special_tokens: tuple[str, ...] = ()
    """Besides the end of a document and padding. Text that spells one is encoded as plain characters."""
    markers: tuple[str, ...] = MARKERS
    """Tokens that text may spell: `<think>` in a document is that token."""
    reserved: int = 0
    """Special tokens without a meaning yet, `<|reserved_0|>` and so on."""
    overwrite: bool = False
    """Whether another tokenizer may be replaced."""

    @property
    def special(self) -> tuple[str, ...]:
        """All tokens that text cannot spell, in the order of their ids; the first is id 0."""
        reserved = tuple(f"<|reserved_{number}|>" for number in range(self.reserved))
        return (END_OF_DOCUMENT, PADDING, *self.special_tokens, *reserved)

    @property
    def smallest(self) -> int:
        """Ids that are there before the first merge."""
        return 256 + len(self.special) + len(self.markers)

    def validate(self) -> None:
        """Raises ConfigError for options that cannot work."""
        if not 0 <= self.reserved <= LARGEST_VOCABULARY:
            raise ConfigError(f"--reserved {self.reserved}: a number of ids, 0 to {LARGEST_VOCABULARY:,}.")
        check_names("--special-tokens", self.special_tokens)
        check_names("--markers", self.markers)
        names = [*self.special, *self.markers]
        if len(set(names)) < len(names) or not all(name.strip() for name in names):
            raise ConfigError(
                f"--special-tokens and --markers: {' '.join(names)}: each must be there once, and not be empty."
            )
        if self.vocabulary_size < self.smallest:
            raise ConfigError(
                f"--vocab-size {self.vocabulary_size}: at least {self.smallest} (256 bytes and special tokens)."
            )
        if self.vocabulary_size > LARGEST_VOCABULARY:
            raise ConfigError(f"--vocab-size {self.vocabulary_size}: at most {LARGEST_VOCABULARY:,}.")
        check_sample(self.max_megabytes, self.seed)
        self._check_weights()
        for option, value, known in (
            ("--pieces", self.pieces, FAMILIES),
            ("--digits", self.digits, DIGITS),
            ("--whitespace", self.whitespace, WHITESPACE),
            ("--normalize", self.normalize, NORMALIZE),
        ):
            if value not in known:
                raise ConfigError(f"{option} {value}: choose one of {', '.join(map(str, known))}.")

    def _check_weights(self) -> None:
        if self.weights is None:
            return
        shares = self.weights.values()
        if set(self.weights) != set(self.inputs) or not (all(share > 0 for share in shares) and isfinite(sum(shares))):
            raise ConfigError(f"--weights must give a finite share above 0 to each of: {', '.join(self.inputs)}.")
