"""What is measured at an evaluation beside losses: probes, distances of weights, the stability gap.

Each kind says by itself how it looks in metrics.jsonl, in TensorBoard and on the console.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from megakor.curriculum.stability_gap import Gap
from megakor.units import compact


class Measure(Protocol):
    """Something that was measured with the weights as they are at one point of the run."""

    @property
    def tokens(self) -> int:
        """Consumed in training so far."""

    def line(self) -> dict[str, Any]:
        """As metrics.jsonl has it."""

    def scalars(self) -> dict[str, float]:
        """TensorBoard's tags and values."""

    def words(self) -> str:
        """As the console has it; empty for nothing."""


@dataclass(frozen=True)
class ProbeRecord:
    """The scores of one probe on its items of one language and domain."""

    step: int
    tokens: int
    probe: str
    language: str
    domain: str
    items: int
    scores: Mapping[str, float]
    """By name. Names that end in "loss" are better when lower, all others when higher."""

    def line(self) -> dict[str, Any]:
        """As metrics.jsonl has it."""
        fields = asdict(self)
        scores = fields.pop("scores")
        return {"kind": "probe", **fields, **scores}

    def scalars(self) -> dict[str, float]:
        """TensorBoard's tags and values."""
        place = "/".join(part for part in ("probe", self.probe, self.domain, self.language) if part)
        return {f"{place}/{name}": score for name, score in self.scores.items()}

    def words(self) -> str:
        """As the console has it."""
        place = " ".join(part for part in (self.probe, self.domain, self.language) if part)
        scores = "  ".join(f"{name.replace('_', ' ')} {score:.4f}" for name, score in self.scores.items())
        return f"  probe {place}: {scores} ({self.items} items)"

    @classmethod
    def from_line(cls, line: dict[str, Any]) -> ProbeRecord:
        """The way back from `line`."""
        known = {name: line[name] for name in cls.__dataclass_fields__ if name != "scores"}
        return cls(**known, scores={name: line[name] for name in line if name not in {*known, "kind", "time"}})


@dataclass(frozen=True)
class WeightsRecord:
    """How far the weights are from those that the run began with."""

    step: int
    tokens: int
    layers: Sequence[float]
    """||W - W_0|| / ||W_0|| over the matrices of each layer (Frobenius), from the bottom to the top."""
    edge: int
    """Layers that "bottom" and "top" are means of."""
    distance: float
    """||theta - theta_0|| over all parameters."""

    @property
    def bottom(self) -> float:
        """Mean of the lowest layers, next to the embedding."""
        return sum(self.layers[: self.edge]) / self.edge

    @property
    def top(self) -> float:
        """Mean of the highest layers, next to the output."""
        return sum(self.layers[-self.edge :]) / self.edge

    @property
    def ratio(self) -> float | None:
        """Bottom over top; None before anything has moved."""
        return self.bottom / self.top if self.top > 0 else None

    def line(self) -> dict[str, Any]:
        """As metrics.jsonl has it."""
        layers = {str(number): moved for number, moved in enumerate(self.layers)}
        derived = {"bottom": self.bottom, "top": self.top, "ratio": self.ratio}
        return {"kind": "weights", **asdict(self), "layers": layers, **derived}

    def scalars(self) -> dict[str, float]:
        """TensorBoard's tags and values."""
        found = {"weights/bottom": self.bottom, "weights/top": self.top, "weights/distance": self.distance}
        if self.ratio is not None:
            found["weights/ratio"] = self.ratio
        return found

    def words(self) -> str:
        """As the console has it; empty before anything has moved."""
        if self.ratio is None:
            return ""
        return (
            f"  weights moved by {self.bottom:.3e} at the bottom and {self.top:.3e} at the top "
            f"({self.ratio:.2f} to 1), {self.distance:.4g} in all"
        )


@dataclass(frozen=True)
class GapRecord:
    """The stability gap of one series so far."""

    tokens: int
    series: str
    gap: Gap
    final: bool
    """The run ends here."""

    def line(self) -> dict[str, Any]:
        """As metrics.jsonl has it."""
        gap = self.gap
        numbers = {"depth": gap.depth, "length": gap.length, "final_gain": gap.final_gain, "in_dip": gap.in_dip}
        place = {"tokens": self.tokens, "series": self.series, "final": self.final}
        return {"kind": "gap", **place, "first": gap.first, "worst_tokens": gap.worst_tokens, **numbers}

    def scalars(self) -> dict[str, float]:
        """TensorBoard's tags and values."""
        found = {f"gap/{self.series}/gain": self.gap.final_gain, f"gap/{self.series}/depth": self.gap.depth}
        if self.gap.length is not None:
            found[f"gap/{self.series}/length"] = self.gap.length
        return found

    def words(self) -> str:
        """As the console has it: everything at the end; before it, whether the series is in its dip."""
        gap = self.gap
        deepest = f"deepest {gap.depth:.4f} at {compact(gap.worst_tokens)} tokens"
        if not self.final:
            dip = f"  in a dip: {self.series} is {-gap.final_gain:.4f} worse than at first ({deepest})"
            return dip if gap.in_dip else ""
        if gap.depth == 0:
            return f"  gap {self.series}: no dip, final gain {gap.final_gain:+.4f}"
        length = "not recovered" if gap.length is None else f"recovered after {compact(gap.length)}"
        return f"  gap {self.series}: {deepest}, {length}, final gain {gap.final_gain:+.4f}"
