"""Trains a byte-level BPE tokenizer on a balance of languages."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from megakor.corpus.documents import expand_inputs
from megakor.corpus.sampling import MEGABYTE, sample_texts, text_bytes
from megakor.corpus.tokenizer import END_OF_DOCUMENT, PADDING
from megakor.errors import ConfigError, DataError
from megakor.storage import make_directory, storage_errors, write_text

# The pieces that merges may not cross. A Hangul run and a run of other letters are apart ("GPU는" -> "GPU", "는"), so
# that particles meet foreign words as the same token; digits come in groups of at most three; a word takes the space
# before it; line breaks are a piece of their own.
PIECES = "|".join(
    (
        r" ?\p{Hangul}+",
        r"'(?:s|t|re|ve|m|ll|d)(?!\p{L})",
        r" ?(?:(?!\p{Hangul})[\p{L}\p{M}])+",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{M}\p{N}]+",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
_SPECIAL = (END_OF_DOCUMENT, PADDING)
_SMALLEST = 256 + len(_SPECIAL)


@dataclass(frozen=True)
class TokenizerOptions:
    """One training; the command line's options."""

    inputs: Mapping[str, Sequence[str]]
    """Language -> paths and globs of .jsonl and .jsonl.gz files."""
    output: Path
    vocabulary_size: int
    weights: Mapping[str, float] | None = None
    """Share of each language in the training text, in bytes. Default: equal shares."""
    max_megabytes: float = 100.0
    """Of text, over all languages."""
    seed: int = 1234
    json_key: str = "text"

    def validate(self) -> None:
        """Raises ConfigError for options that cannot work."""
        if self.vocabulary_size < _SMALLEST:
            raise ConfigError(
                f"--vocab-size {self.vocabulary_size}: at least {_SMALLEST} (256 bytes and special tokens)."
            )
        if self.max_megabytes <= 0:
            raise ConfigError(f"--max-megabytes {self.max_megabytes}: give a size above 0.")
        if self.weights is not None and (
            set(self.weights) != set(self.inputs) or any(weight <= 0 for weight in self.weights.values())
        ):
            raise ConfigError(f"--weights must give a share above 0 to each of: {', '.join(self.inputs)}.")


def train_tokenizer(options: TokenizerOptions, log: Callable[[str], None]) -> Path:
    """Train and write OUTPUT/tokenizer.json and tokenizer_config.json (loadable by transformers); returns OUTPUT.

    The shares hold exactly as far as text goes: the scarcest language limits the amount of all.
    """
    options.validate()
    files = {language: expand_inputs(patterns) for language, patterns in options.inputs.items()}
    make_directory(options.output)
    with storage_errors(options.output):
        scratch = tempfile.TemporaryDirectory(prefix=".megakor-", dir=options.output)
    with scratch:
        budgets = _budgets(options, files, Path(scratch.name))
        log("training text: " + ", ".join(f"{name} {size / MEGABYTE:.2f} MB" for name, size in budgets.items()))
        tokenizer = _train(_texts(options, files, budgets, Path(scratch.name)), options.vocabulary_size)
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    if size < options.vocabulary_size:
        log(f"the text yields {size:,} tokens only, fewer than the {options.vocabulary_size:,} asked for")
    write_text(options.output / "tokenizer_config.json", json.dumps(_transformers_config(), indent=2) + "\n")
    write_text(options.output / "tokenizer.json", tokenizer.to_str(pretty=True) + "\n")
    return options.output


def _budgets(options: TokenizerOptions, files: Mapping[str, Sequence[Path]], scratch: Path) -> dict[str, int]:
    """Bytes of text to take from each language."""
    weights = dict(options.weights or dict.fromkeys(files, 1.0))
    there = {language: text_bytes(paths, options.json_key, scratch) for language, paths in files.items()}
    for language, size in there.items():
        if not size:
            raise DataError(f"{', '.join(options.inputs[language])}: the corpus is empty: no document with text.")
    whole = sum(weights.values())
    total = min(options.max_megabytes * MEGABYTE, *(there[name] * whole / weight for name, weight in weights.items()))
    return {language: int(total * weight / whole) for language, weight in weights.items()}


def _texts(
    options: TokenizerOptions, files: Mapping[str, Sequence[Path]], budgets: Mapping[str, int], scratch: Path
) -> Iterator[str]:
    for language, paths in files.items():
        yield from sample_texts(paths, budgets[language], options.seed, options.json_key, scratch)


def _train(texts: Iterator[str], vocabulary_size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[AddedToken(name, special=True, normalized=False) for name in _SPECIAL],
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _transformers_config() -> dict[str, object]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END_OF_DOCUMENT,
        "pad_token": PADDING,
        "clean_up_tokenization_spaces": False,
    }
