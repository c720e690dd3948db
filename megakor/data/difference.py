"""What a resume changes: the checkpoint's settings beside the config's, said before the first step."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from megakor.config.phases import PhaseSpan
from megakor.config.ramp import Ramp
from megakor.data.history import PastPhase
from megakor.data.order import epochs_read
from megakor.data.source import readings_from_json
from megakor.data.stream import TokenStream


@dataclass(frozen=True)
class Difference:
    """Settings of the next batch before and after, by key, with those that stay the same; and events by source."""

    tokens: int
    settings: dict[str, tuple[str, str]]
    events: tuple[str, ...] = ()

    @property
    def changed(self) -> dict[str, tuple[str, str]]:
        """The settings that are not as they were."""
        return {key: pair for key, pair in self.settings.items() if pair[0] != pair[1]}

    def with_model(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Difference:
        """This difference, and the keys of the model in `after` whose values change with it."""
        changes = {
            f"model.{key}": (str(before.get(key)), str(value))
            for key, value in after.items()
            if before.get(key) != value
        }
        return replace(self, settings={**self.settings, **changes})

    def text(self, lr_before: float | None = None, lr_after: float | None = None) -> str:
        """A few lines for the console: what changes, with an arrow, then what stays, then each source."""
        settings = dict(self.settings)
        if lr_before is not None and lr_after is not None:
            settings["learning rate"] = (f"{lr_before:.6g}", f"{lr_after:.6g}")
        changes = {key: pair for key, pair in settings.items() if pair[0] != pair[1]}
        width = max(map(len, changes), default=0)
        lines = [f"resuming at {self.tokens:,} tokens"]
        lines += [f"  {key:<{width}}  {before} -> {after}" for key, (before, after) in changes.items()]
        same = ", ".join(f"{key} {pair[1]}" for key, pair in settings.items() if key not in changes)
        lines += textwrap.wrap(f"as before: {same}", 100, initial_indent="  ", subsequent_indent="    ")
        return "\n".join([*lines, *(f"  {event}" for event in self.events)])


def compare(state: dict[str, Any], stream: TokenStream) -> Difference:
    """The difference between a checkpoint's state and the stream that was made from it."""
    schedule, tokens = stream.schedule, stream.tokens_consumed
    phase = schedule.phase_at(tokens)
    past = _latest(state)
    settings = {
        "budget": (f"{state['total_tokens']:,} tokens", f"{schedule.total_tokens:,} tokens"),
        "global batch": (f"{state['global_batch_tokens']:,} tokens", f"{schedule.full_batch_at(tokens):,} tokens"),
        "phase": (past.name if past else phase.name, phase.name),
        "sequence length": (str((past or phase).sequence_length), str(phase.sequence_length)),
        **_row_settings(past, phase),
        **_mixture_settings(past, stream, phase),
        **_controllers(state, stream),
    }
    weights_before, weights_after = past.shares(tokens, tokens + 1) if past else {}, phase.shares(tokens, tokens + 1)
    for source in stream.sources:
        before, after = weights_before.get(source.id, 0.0), weights_after.get(source.name, 0.0)
        settings[f"weight of {source.name}"] = (f"{before:.4g}", f"{after:.4g}")
        kept = state["sources"].get(source.id)
        cap = _cap(source.epochs)
        settings[f"cap of {source.name}"] = (_cap(kept["epochs"]) if kept else cap, cap)
    return Difference(tokens, settings, tuple(_events(state, stream)))


def _latest(state: dict[str, Any]) -> PastPhase | None:
    """The latest stretch of the past, with the shares that the next batch would have had."""
    if not state["history"]:
        return None
    past = PastPhase.from_json(state["history"][-1])
    decisions = (state.get("steering") or {}).get("decisions")
    if decisions and decisions[-1]["tokens"] == state["tokens"]:
        return replace(past, weights=decisions[-1]["after"])
    return past


def _controllers(state: dict[str, Any], stream: TokenStream) -> dict[str, tuple[str, str]]:
    before, after = state.get("controllers", {}), stream.controllers
    return {key: (before.get(key, "none"), after.get(key, "none")) for key in {**before, **after}}


def _row_settings(past: PastPhase | None, phase: PhaseSpan) -> dict[str, tuple[str, str]]:
    """How rows are read, where that changes."""
    if past is None or past.mask is None or past.loss_mask_tokens is None:
        return {}
    tokens = [", ".join(sorted(tokens)) or "none" for tokens in (past.loss_mask_tokens, phase.loss_mask_tokens)]
    pairs = {"mask": (past.mask, phase.mask), "tokens without loss": (tokens[0], tokens[1])}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _mixture_settings(past: PastPhase | None, stream: TokenStream, phase: PhaseSpan) -> dict[str, tuple[str, str]]:
    """Ramps, rules and replay, where the past or the future has one."""
    names = {source.id: source.name for source in stream.sources}
    after = _mixture_words(phase.ramp, phase.rule, phase.replayed, phase.weights, {})
    if past is None:
        return {key: (words, words) for key, words in after.items()}
    before = _mixture_words(past.ramp, past.rule, past.replayed, past.weights, names)
    return {key: (before.get(key, "none"), after.get(key, "none")) for key in {**before, **after}}


def _mixture_words(
    ramp: Ramp | None,
    rule: Mapping[str, Any] | None,
    replayed: Sequence[str],
    weights: Mapping[str, float],
    names: Mapping[str, str],
) -> dict[str, str]:
    words = {}
    if ramp is not None:
        ends = [f"{names.get(key, key)} {ramp.end.get(key, 0):.4g}" for key in {**weights, **ramp.end}]
        shape = f"{ramp.steps} steps" if ramp.shape == "step" else ramp.shape
        words["ramp"] = f"{shape} to {', '.join(sorted(ends))} at {ramp.stop:,} tokens"
    if rule is not None:
        words["rule"] = f"{rule['rule']} ({rule['setting']:g})"
    if replayed:
        words["replay"] = ", ".join(sorted(names.get(key, key) for key in replayed))
        for place, shares in (("", weights), (" at the end of the ramp", ramp.end if ramp else {})):
            if shares:
                words[f"replay ratio{place}"] = f"{sum(shares.get(key, 0.0) for key in replayed):.4g}"
    return words


def _events(state: dict[str, Any], stream: TokenStream) -> list[str]:
    events: list[str] = []
    for source in stream.sources:
        kept = state["sources"].get(source.id)
        if kept is None:
            events.append(f"source {source.name}: added, read from its beginning")
            continue
        if kept["name"] != source.name:
            events.append(f"source {source.name}: was called {kept['name']}")
        if len(source.generations) > len(kept["generations"]):
            shards = len(source.generations[-1].shards)
            events.append(f"source {source.name}: {shards} new shards, read from the next epoch on")
        before, after = readings_from_json(kept)[-1], source.readings[-1]
        if not after.same_as(before):
            events.append(f"source {source.name}: {before.text()} -> {after.text()}, from epoch {after.first_epoch} on")
        events.append(f"source {source.name}: {_place(stream, source.id)}")
    for kept in stream.dropped_sources.values():
        total = kept["read"] + kept["skipped"]
        events.append(f"source {kept['name']}: not in the config; its {total:,} tokens stay in the ledger")
    return events


def _place(stream: TokenStream, source_id: str) -> str:
    return f"{epochs_read(stream.sources.by_id[source_id], stream.cursors[source_id]):.3f} epochs read"


def _cap(epochs: float | None) -> str:
    return "none" if epochs is None else f"{epochs:g} epochs"
