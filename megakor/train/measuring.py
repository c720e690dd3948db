"""Everything that is measured at an evaluation point: losses, probes, distances of weights, and the stability gap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from megakor.config.schema import Config
from megakor.corpus.tokenizer import Tokenizer
from megakor.report.gap_series import GapTracker, groups_of
from megakor.report.measures import Measure
from megakor.report.reporter import Reporter
from megakor.train.engine import Engine
from megakor.train.evaluation import Evaluator
from megakor.train.probes import Prober
from megakor.train.weight_distance import WeightDistance


class Measuring:
    """Measures an engine and tells a reporter. What it remembers belongs into the checkpoint."""

    def __init__(
        self, config: Config, engine: Engine, tokenizer: Tokenizer, reporter: Reporter, distance: WeightDistance | None
    ) -> None:
        """Collective. `distance` was made when the weights were the first ones; None: they are not compared.

        Raises:
            DataError: validation text or a probe is missing, damaged or of another tokenizer.
        """
        self._reporter = reporter
        self._evaluator = Evaluator(config, engine, tokenizer)
        self._prober = Prober(config, engine, tokenizer)
        self._distance = distance
        self._gaps = GapTracker(groups_of(config))

    def measure(self, step: int, tokens: int) -> None:
        """One evaluation, with the weights as they are. Collective."""
        losses = self._evaluator.evaluate(step, tokens)
        self._reporter.validation(*losses)
        probes = self._prober.score(step, tokens)
        further: list[Measure] = [*probes]
        if self._distance is not None:
            further.append(self._distance.measure(step, tokens))
        further += self._gaps.add(tokens, losses, probes)
        self._reporter.measures(further)

    def conclude(self, tokens: int) -> None:
        """Tell the stability gaps of the run, which ends here."""
        self._reporter.measures(self._gaps.records(tokens, final=True))

    def state_dict(self) -> dict[str, Any]:
        """What it remembers, as JSON."""
        return self._gaps.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._gaps.load_state_dict(state)
