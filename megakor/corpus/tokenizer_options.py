"""What a training of a tokenizer can be asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from megakor.corpus.tokenizer import END_OF_DOCUMENT, PADDING
from megakor.corpus.tokenizer_patterns import DIGITS, FAMILIES, O200K, RUNS, WHITESPACE
from megakor.errors import ConfigError

MARKERS = ("<think>", "</think>")
NORMALIZE = ("none", "nfc")


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
    text_unit: str = "paragraph"
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
        if self.reserved < 0:
            raise ConfigError(f"--reserved {self.reserved}: a number of ids, 0 or more.")
        names = [*self.special, *self.markers]
        if len(set(names)) < len(names) or not all(name.strip() for name in names):
            raise ConfigError(
                f"--special-tokens and --markers: {' '.join(names)}: each must be there once, and not be empty."
            )
        if self.vocabulary_size < self.smallest:
            raise ConfigError(
                f"--vocab-size {self.vocabulary_size}: at least {self.smallest} (256 bytes and special tokens)."
            )
        if self.max_megabytes <= 0:
            raise ConfigError(f"--max-megabytes {self.max_megabytes}: give a size above 0.")
        if self.weights is not None and (
            set(self.weights) != set(self.inputs) or any(weight <= 0 for weight in self.weights.values())
        ):
            raise ConfigError(f"--weights must give a share above 0 to each of: {', '.join(self.inputs)}.")
        for option, value, known in (
            ("--pieces", self.pieces, FAMILIES),
            ("--digits", self.digits, DIGITS),
            ("--whitespace", self.whitespace, WHITESPACE),
            ("--normalize", self.normalize, NORMALIZE),
        ):
            if value not in known:
                raise ConfigError(f"{option} {value}: choose one of {', '.join(map(str, known))}.")
