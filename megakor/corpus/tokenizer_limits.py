"""What commands about tokenizers refuse before they work: senseless samples, names no file can hold, lost inputs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from megakor.corpus.inputs.listing import list_inputs
from megakor.errors import ConfigError

_SEED_BITS = 64


def check_sample(megabytes: float, seed: int) -> None:
    """Raises ConfigError for a sample of text that cannot be taken."""
    if not (math.isfinite(megabytes) and megabytes > 0):
        raise ConfigError(f"--max-megabytes {megabytes}: give a size above 0.")
    if seed.bit_length() >= _SEED_BITS:
        raise ConfigError(f"--seed: give a whole number between -2^{_SEED_BITS - 1} and 2^{_SEED_BITS - 1}.")


def check_names(option: str, names: Iterable[str]) -> None:
    """Raises ConfigError for a token that is no text: half a surrogate pair, or a NUL character."""
    for name in names:
        if "\0" in name or any("\ud800" <= character <= "\udfff" for character in name):
            raise ConfigError(f"{option}: {name!a} is no text that a tokenizer file can hold; give UTF-8 without NUL.")


def check_outputs(
    option: str, outputs: Iterable[Path], inputs: Mapping[str, Sequence[str]], tokenizers: Iterable[Path] = ()
) -> None:
    """Raises ConfigError where a file that is going to be written, or the directory, is an input (a tokenizer that is
    read is one too); DataError for inputs that are not there."""
    words = [word for patterns in inputs.values() for word in patterns]
    read = {Path(file.path).resolve() for file in list_inputs(words)} | {Path(word).resolve() for word in words}
    read |= {path.resolve() for path in tokenizers}
    for path in outputs:
        if path.resolve() in read:
            raise ConfigError(f"{option}: {path} is an input too and would be lost; write elsewhere.")
