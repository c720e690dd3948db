"""Tokens that a phase reads and does not learn (`loss_mask_tokens`), such as <think>."""

from __future__ import annotations

from megakor.config.schema import Config
from megakor.corpus.tokenizer import Tokenizer
from megakor.errors import ConfigError


def unlearnt_ids(config: Config, tokenizer: Tokenizer) -> dict[str, int]:
    """The id of every token that a phase names.

    Raises:
        ConfigError: the tokenizer has no such token.
    """
    found: dict[str, int] = {}
    for index, phase in enumerate(config.data.phases):
        for place, token in enumerate(phase.loss_mask_tokens):
            token_id = tokenizer.token_id(token)
            if token_id is None:
                pieces = len(tokenizer.encode(token))
                raise ConfigError(
                    f"data.phases.{index}.loss_mask_tokens.{place}: '{token}' is no token of {config.data.tokenizer}; "
                    f"as text it is {pieces} of them. A loss is left out for whole tokens only: write one as it stands "
                    "in the tokenizer's vocabulary, or train the tokenizer with it as a special token."
                )
            found[token] = token_id
    return found
