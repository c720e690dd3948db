"""Everything that is measured at an evaluation point: losses, probes, distances of weights, and the stability gap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from megakor.config.schema import Config
from megakor.corpus.tokenizer import Tokenizer
from megakor.report.gap_series import GapTracker, groups_of
from megakor.report.measures import Measure
from megakor.report.records import ValidationRecord
from megakor.report.reporter import Reporter
from megakor.train.engine import Engine, Pulse
from megakor.train.evaluation import Evaluator
from megakor.train.probes import Prober
from megakor.train.weight_distance import WeightDistance


@dataclass(frozen=True)
class Period:
    """What evaluations are measured against."""

    start: int | None = None
    """Where it was to begin, in tokens; None before the first evaluation."""
    first: int = 0
    """Tokens of its first evaluation."""


class Measuring:
    """Measures an engine and tells a reporter. What it remembers belongs into the checkpoint."""

    def __init__(
        self, config: Config, engine: Engine, tokenizer: Tokenizer, reporter: Reporter, distance: WeightDistance | None
    ) -> None:
        """Collective. `distance` knows the weights that the period began with; None: they are not compared.

        Raises:
            DataError: validation text or a probe is missing, damaged or of another tokenizer.
        """
        self._reporter = reporter
        self._evaluator = Evaluator(config, engine, tokenizer)
        self._prober = Prober(config, engine, tokenizer)
        self._distance = distance
        self._gaps = GapTracker(groups_of(config))
        self.period = Period()

    @property
    def sets(self) -> list[str]:
        """Names of the validation sets."""
        return self._evaluator.names

    def measure(self, step: int, tokens: int, period: int, pulse: Pulse = lambda: None) -> list[ValidationRecord]:
        """One evaluation, with the weights as they are; returns the losses. Collective.

        Args:
            period: where the period begins that this evaluation belongs to (`EvaluationGrid.period_at`). The first
                evaluation of a period also ends the one before.
            pulse: see `Engine.evaluate`. Where it ends the evaluation, nothing of it is remembered.
        """
        losses = self._evaluator.evaluate(step, tokens, pulse)
        self._reporter.validation(*losses)
        probes = self._prober.score(step, tokens, pulse)
        if self.period.start is None:
            self._begin(period, tokens)
        further: list[Measure] = [*probes]
        if self._distance is not None:
            further.append(self._distance.measure(step, tokens))
        gaps = self._gaps.add(tokens, losses, probes)
        if self.period.start != period:
            gaps = self._gaps.records(tokens, final=True)
            self._begin(period, tokens)
            self._gaps.add(tokens, losses, probes)
        self._reporter.measures([*further, *gaps])
        return losses

    def conclude(self, tokens: int) -> None:
        """Tell the stability gaps of the run, which ends here."""
        self._reporter.measures(self._gaps.records(tokens, final=True))

    def _begin(self, period: int, tokens: int) -> None:
        self.period = Period(period, tokens)
        self._gaps.begin()
        if self._distance is not None:
            self._distance.remember()

    def state_dict(self) -> dict[str, Any]:
        """What it remembers, as JSON."""
        return {"period": asdict(self.period), "gaps": self._gaps.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.period = Period(**state["period"])
        self._gaps.load_state_dict(state["gaps"])
