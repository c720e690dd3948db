"""The options of regrouping, checked."""

from __future__ import annotations

from dataclasses import dataclass, field

from megakor.corpus.operations.crosslingual import LanguageSampling
from megakor.errors import ConfigError

BEST_FIT, CROSS_LINGUAL = "best-fit", "cross-lingual"
LONGEST_ROW = 1 << 24
MASKS = {
    "prefix": frozenset({"prefix_tokens"}),
    "suffix": frozenset({"suffix_tokens"}),
    "both": frozenset({"prefix_tokens", "suffix_tokens"}),
    "none": frozenset[str](),
}
_PARTNER_SHARE = 8  # an eighth of a row is kept for another language


@dataclass(frozen=True)
class RegroupOptions:
    """How documents become rows."""

    row_tokens: int = 4096
    mode: str = BEST_FIT
    pad_id: int = 0
    seed: int = 1234
    window_tokens: int = 16 << 20
    """Documents of so many tokens are looked at together; memory is about 4 bytes a token and some for the reader."""
    loss_off: str = "prefix"
    """Which text of conditioning templates is read but not to be predicted; one of MASKS. What is appended teaches
    only by being predicted."""
    sampling: LanguageSampling = field(default_factory=LanguageSampling)
    longest_document: int | None = None
    """Cross-lingual: longer documents are cut, so that a row has room for another language; None: 7/8 of a row."""
    pair_field: str | None = None
    """Cross-lingual: metadata field whose value parallel documents share."""

    def validate(self) -> None:
        """Raises ConfigError for options that cannot work."""
        if not 1 <= self.row_tokens <= LONGEST_ROW:
            raise ConfigError(f"--row-tokens {self.row_tokens}: a row has 1 to {LONGEST_ROW:,} tokens.")
        if self.mode not in (BEST_FIT, CROSS_LINGUAL):
            raise ConfigError(f"--mode {self.mode}: the modes are {BEST_FIT} and {CROSS_LINGUAL}.")
        if self.loss_off not in MASKS:
            raise ConfigError(f"--loss-off {self.loss_off}: give one of {', '.join(MASKS)}.")
        if self.window_tokens < self.row_tokens:
            raise ConfigError(
                f"--window-tokens {self.window_tokens} is less than a row ({self.row_tokens}); a window of thousands "
                "of rows packs well."
            )
        if self.mode == CROSS_LINGUAL:
            if not 1 <= self.longest < self.row_tokens:
                raise ConfigError(
                    f"--longest-document {self.longest}: a row of {self.row_tokens} tokens has to hold it and a token "
                    "of another language at least."
                )
        elif self.pair_field is not None or self.longest_document is not None:
            raise ConfigError(f"--pair-field and --longest-document belong to --mode {CROSS_LINGUAL}.")

    @property
    def longest(self) -> int:
        """Tokens of the longest document that is not cut."""
        if self.mode == BEST_FIT:
            return self.row_tokens
        return self.longest_document or self.row_tokens - max(1, self.row_tokens // _PARTNER_SHARE)
