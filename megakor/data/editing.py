"""Resuming: the past comes from the checkpoint, the future from the config, and the difference is said.

What has been consumed cannot be edited; everything after it can: weights, sequence lengths, phases, caps, sources,
the budget and the batch size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from megakor.config.phases import PhaseSpan
from megakor.curriculum.schedule import Schedule
from megakor.data.difference import Difference, compare
from megakor.data.history import History, PastPhase
from megakor.data.matching import match_sources
from megakor.data.permutation import ORDER_VERSION
from megakor.data.sources import Sources
from megakor.data.steering import check_remembered
from megakor.data.stream import STATE_VERSION, TokenStream
from megakor.errors import ConfigError, DataError

_SAME_SHARE = 1e-9
_COMPARED = 64
"""Equal parts of a stretch of the past in which its ramp is compared with that of the config."""


def resume(
    state: dict[str, Any], sources: Sources, schedule: Schedule, window_blocks: int
) -> tuple[TokenStream, Difference]:
    """Continue from `TokenStream.state_dict()`, with the sources and the schedule of the config as it is now.

    Read rows through the returned stream's own `sources`: their shards are grouped as they were before.

    Raises:
        ConfigError: the seed, the block length or the consumed part of the schedule differ.
        DataError: the state is of another version, or a source lost shards.
    """
    _check_versions(state)
    _check_fixed(state, sources)
    matched = match_sources(state, sources)
    stream = TokenStream(matched, schedule, window_blocks)
    stream.load_state_dict(state)
    _check_past(stream.history, stream)
    check_remembered(stream.steering, stream.history, stream.tokens_consumed)
    return stream, compare(state, stream)


def _check_versions(state: dict[str, Any]) -> None:
    found = (state.get("version"), state.get("order_version"))
    if found != (STATE_VERSION, ORDER_VERSION):
        raise DataError(
            f"the checkpoint's data state has version {found[0]} with order version {found[1]}; this MegaKor reads "
            f"{STATE_VERSION} with {ORDER_VERSION}. Continue the run with the version that wrote it."
        )


def _check_fixed(state: dict[str, Any], sources: Sources) -> None:
    fixed = {"run.seed": ("seed", sources.seed), "data.block_length": ("block_length", sources.block_length)}
    for key, (field, value) in fixed.items():
        if state[field] != value:
            raise ConfigError(
                f"{key} is {value:,}, but the run began with {state[field]:,}. It decides the order of the data and "
                "cannot change: set it back, or start a new run."
            )


def _check_past(history: History, stream: TokenStream) -> None:
    """Refuse a schedule that says something else about batches that were read."""
    ids = {source.name: source.id for source in stream.sources}
    for past, stop in history.stretches(stream.tokens_consumed):
        for span in stream.schedule.phases_between(past.first, past.last + 1):
            fault = _edit_of_the_past(past, span, stop, ids)
            if fault:
                raise ConfigError(
                    f"data.phases: {fault} in phase '{span.name}', but tokens {max(past.first, span.start):,} to "
                    f"{stop:,} have been read otherwise. Leave that part as it was and put the change into a phase of "
                    f"its own that begins at token {stream.tokens_consumed:,}.{_about_ramps(past)}"
                )


def _about_ramps(past: PastPhase) -> str:
    if past.ramp is None:
        return ""
    return (
        f" A ramp that is cut off there stays as it was with ramp_tokens: {past.ramp.stop - past.ramp.start} and the "
        "same weights_end."
    )


def _edit_of_the_past(past: PastPhase, span: PhaseSpan, stop: int, ids: Mapping[str, str]) -> str | None:
    if past.sequence_length != span.sequence_length:
        return f"the sequence length changes from {past.sequence_length:,} to {span.sequence_length:,}"
    if past.mask not in (None, span.mask):
        return f"the mask changes from {past.mask} to {span.mask}"
    if past.loss_mask_tokens is not None and {*past.loss_mask_tokens} != {*span.loss_mask_tokens}:
        return f"loss_mask_tokens change from {_listed(past.loss_mask_tokens)} to {_listed(span.loss_mask_tokens)}"
    first, last = max(past.first, span.start), min(stop, max(span.stop, past.first + 1))
    parts = _COMPARED if past.ramp or span.ramp else 1
    edges = sorted({first + (last - first) * part // parts for part in range(parts + 1)})
    faults = [
        (*fault, start) for start, end in pairwise(edges) if (fault := _edit_of_shares(past, span, start, end, ids))
    ]
    if not faults:
        return None
    _, words, at = max(faults)
    return words if parts == 1 else f"{words} at token {at:,}"


def _listed(tokens: Sequence[str]) -> str:
    return ", ".join(tokens) or "none"


def _edit_of_shares(
    past: PastPhase, span: PhaseSpan, start: int, end: int, ids: Mapping[str, str]
) -> tuple[float, str] | None:
    """The largest change of a share between tokens `start` and `end`: how large it is, and in words."""
    names = {key: name for name, key in ids.items()}
    # A source that is gone from the config cannot be named in its phases any more: compare the shares of the others.
    before = _shares({key: weight for key, weight in past.shares(start, end).items() if key in names})
    after = _shares({ids[name]: weight for name, weight in span.shares(start, end).items()})
    if not before:
        return None
    changes = {key: abs(before.get(key, 0.0) - after.get(key, 0.0)) for key in sorted(before.keys() | after.keys())}
    key = max(changes, key=lambda changed: changes[changed])
    if changes[key] <= _SAME_SHARE:
        return None
    old, new = before.get(key, 0.0), after.get(key, 0.0)
    return changes[key], f"the weight of '{names[key]}' changes from {old:.4g} to {new:.4g}"


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {key: weight / total for key, weight in weights.items()}
