"""From a config, and the state of a checkpoint if there is one, to the stream of a run.

One process opens the files (`compile_table`) and sends the table to the others; each of them makes the same stream
from it (`start_stream`) without touching a file.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from megakor.config.phases import block_length, phases_of
from megakor.config.ramp import shares_of
from megakor.config.schema import Config
from megakor.curriculum.resolve import Frozen, Known, fitted_ratios
from megakor.curriculum.schedule import Schedule
from megakor.data.difference import Difference
from megakor.data.editing import resume
from megakor.data.exhaustion import check_plan
from megakor.data.history import History
from megakor.data.matching import match_sources
from megakor.data.sources import Sources, open_sources
from megakor.data.stream import TokenStream


def compile_table(
    config: Config, tokenizer_sha256: str | None = None, state: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Open and check every source; returns a JSON table for `start_stream`. Raises DataError, ConfigError."""
    sources = open_sources(config, choose_block_length(config, state), tokenizer_sha256)
    return {**sources.to_table(), "ratios": {str(index): ratio for index, ratio in fitted_ratios(config).items()}}


def choose_block_length(config: Config, state: dict[str, Any] | None = None) -> int:
    """The block length of a run: as configured, else that of the checkpoint, else the longest sequence planned."""
    if config.data.block_length is None and state is not None:
        return state["block_length"]
    return block_length(config)


def start_stream(
    config: Config, table: dict[str, Any], state: dict[str, Any] | None = None
) -> tuple[TokenStream, Difference | None]:
    """The stream of a new run, or of one that continues from `state`, with what the resume changes.

    Raises:
        ConfigError: the config edits what has been consumed, or something that cannot change.
        DataError: a source lost shards, or is certain to pass a cap at which the run has to fail.
    """
    sources = Sources.from_table(table)
    ratios = {int(index): ratio for index, ratio in table["ratios"].items()}
    if state is None:
        schedule = Schedule.compile(config, Known(epoch_sizes(sources), ratios))
        stream = TokenStream(sources, schedule, config.data.window_blocks)
        check_plan(schedule, sources, stream.cursors, 0)
        return stream, None
    matched = match_sources(state, sources)
    begun = mixtures_begun(config, state, matched)
    schedule = Schedule.compile(config, Known(epoch_sizes(matched), ratios, begun))
    stream, difference = resume(state, sources, schedule, config.data.window_blocks)
    check_plan(stream.schedule, stream.sources, stream.cursors, stream.tokens_consumed)
    return stream, difference


def epoch_sizes(sources: Sources) -> dict[str, int]:
    """Tokens of an epoch of each source, which the rules of mixtures go by."""
    return {source.name: source.epoch_tokens(len(source.generations)) for source in sources}


def mixtures_begun(config: Config, state: dict[str, Any], sources: Sources) -> dict[int, Frozen]:
    """The mixtures that rules had made for phases that have begun, by the number of the phase in the config.

    Of a source that is gone from the config nothing is left in them.
    """
    names = {source.id: source.name for source in sources}
    spans, begun = phases_of(config), {}
    for past in History.from_json(state["history"]).phases:
        # The batch that begins at `first` decides to which phase the stretch belongs.
        span = next((span for span in spans if span.start <= past.first < span.stop), None)
        if past.rule is not None and span is not None and span.index not in begun:
            weights = shares_of({names[key]: weight for key, weight in past.weights.items() if key in names})
            ramp = past.ramp
            if ramp is not None:
                end = shares_of({names[key]: weight for key, weight in ramp.end.items() if key in names})
                ramp = replace(ramp, end=end)
            begun[span.index] = Frozen(weights, ramp, past.rule)
    return begun
