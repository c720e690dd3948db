from pathlib import Path

import pytest
from corpus_world import make_tokenizer

from megakor.config.schema import Config
from megakor.config.schema_data import PhaseConfig
from megakor.corpus.tokenizer import Tokenizer
from megakor.data.unlearnt import unlearnt_ids
from megakor.errors import ConfigError


def test_tokens_are_found_by_their_names_and_what_is_no_token_is_explained(tmp_path: Path) -> None:
    config = Config()
    config.data.tokenizer = str(make_tokenizer(tmp_path))
    tokenizer = Tokenizer.load(config.data.tokenizer)
    config.data.phases = [PhaseConfig(), PhaseConfig(loss_mask_tokens=["<think>", "a"])]
    found = unlearnt_ids(config, tokenizer)
    assert found == {"<think>": tokenizer.token_id("<think>"), "a": tokenizer.encode("a")[0]}
    config.data.phases[0].loss_mask_tokens = ["<answer>"]
    with pytest.raises(ConfigError, match=r"phases\.0\.loss_mask_tokens\.0: '<answer>' is no token of .* it is \d+ of"):
        unlearnt_ids(config, tokenizer)
