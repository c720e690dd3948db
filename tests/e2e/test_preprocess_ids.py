"""The ids in a shard are those of plain `tokenizers`, whichever engine has made them."""

from __future__ import annotations

import json
import re
import subprocess
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from corpus_builds import content, words

from megakor.corpus.engines.load import FAST_ENGINES, installed_version

pytestmark = pytest.mark.slow


def test_the_fastest_engine_gives_the_bytes_of_plain_tokenizers(corpus_directory: Path) -> None:
    prefix = corpus_directory / "ids" / "out"
    command = words(corpus_directory, prefix, "--engine", "auto", "--no-shuffle", "--holdout-share", "0")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    installed = [name for name in FAST_ENGINES if installed_version(name)]
    assert re.search(r"engine: (\w+)", done.stderr)[1] == [*installed, "tokenizers"][0]

    encoder = tokenizers.Tokenizer.from_file(str(corpus_directory / "tokenizer" / "tokenizer.json"))
    end = encoder.token_to_id("<|endoftext|>")
    lines = [line for path in sorted((corpus_directory / "text").iterdir()) for line in path.open(encoding="utf-8")]
    texts = [unicodedata.normalize("NFC", json.loads(line)["text"]) for line in lines]
    expected = [[*encoded.ids, end] for encoded in encoder.encode_batch(texts, add_special_tokens=False)]
    assert prefix.with_suffix(".bin").read_bytes() == np.concatenate(expected).astype(np.uint16).tobytes()


def test_a_shuffled_build_is_the_same_with_any_engine(corpus_directory: Path) -> None:
    prefix = corpus_directory / "engine" / "out"
    command = words(corpus_directory, prefix, "--engine", "auto", "--workers", "4")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert content(prefix) == content(corpus_directory / "calm" / "out")
