"""Fits the law of continued pre-training to runs: Huber loss on log L, many starts, intervals by resampling runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from megakor.curriculum.cpt_law import Law
from megakor.errors import DataError

Floats = NDArray[np.float64]

HUBER = 1e-3
"""On log L: a run that is further off than a thousandth counts linearly."""
NAMES = {"scratch": ("E", "A", "alpha", "B", "beta"), "continued": ("E", "A", "alpha", "B", "beta", "gamma")}
LEAST_SIZES, LEAST_SPAN = 3, 3.0
_STARTS = 12
_BOUNDS = {
    "E": (1e-3, 6.0),
    "A": (-6.0, 20.0),
    "alpha": (0.02, 1.5),
    "B": (-6.0, 25.0),
    "beta": (0.02, 1.5),
    "gamma": (-0.2, 0.8),
}
"""Of the constants as they are fitted: A and B as logarithms, with N and D divided by their geometric means."""


@dataclass(frozen=True)
class CptRun:
    """The end of one run. Runs of one fit share tokenizer, validation text and kind of learning-rate schedule."""

    name: str
    parameters: float
    tokens: float
    """Of the target language."""
    loss: float
    """On the target language, in nats per token."""
    continued: bool


@dataclass(frozen=True)
class CptFit:
    """Laws fitted to runs."""

    scratch: Law | None
    continued: Law | None
    errors: tuple[float, ...]
    """Relative error of each run's loss."""
    intervals: dict[str, tuple[float, float]]
    """Constant -> interval, such as continued.beta."""
    at_bound: tuple[str, ...]
    """Constants that the runs do not determine: they lie on the bound of their range."""


def fit_cpt_law(runs: Sequence[CptRun], replicates: int = 50, level: float = 0.95, seed: int = 0) -> CptFit:
    """Laws of the kinds of runs given; E, A and alpha are shared. Raises DataError when the runs do not suffice."""
    _require_enough(runs)
    problem = _Problem(runs)
    random = np.random.default_rng(seed)
    best = problem.solve([problem.start(random) for _ in range(_STARTS)])
    drawn = [problem.resampled(random).solve([best]) for _ in range(replicates)]
    tail = (1 - level) / 2
    intervals = {}
    if drawn:
        values = [problem.named(one) for one in drawn]
        for name in values[0]:
            low, high = np.quantile([one[name] for one in values], [tail, 1 - tail])
            intervals[name] = (float(low), float(high))
    errors = np.exp(problem.log_losses(best)) / problem.losses - 1
    scratch, continued = problem.laws(best)
    return CptFit(scratch, continued, tuple(map(float, errors)), intervals, problem.at_bound(best))


def _require_enough(runs: Sequence[CptRun]) -> None:
    problems = []
    for kind in ("scratch", "continued"):
        chosen = [run for run in runs if run.continued == (kind == "continued")]
        if not chosen:
            continue
        constants = len(NAMES[kind])
        sizes = {run.parameters for run in chosen}
        tokens = [run.tokens for run in chosen]
        if len(chosen) < constants + 2:
            problems.append(f"{len(chosen)} {kind} runs for {constants} constants: at least {constants + 2} are needed")
        if len(sizes) < LEAST_SIZES:
            problems.append(f"the {kind} runs have {len(sizes)} sizes of models: at least {LEAST_SIZES} are needed")
        elif max(sizes) < LEAST_SPAN * min(sizes):
            problems.append(f"the sizes of the {kind} runs span less than a factor of {LEAST_SPAN:g}")
        if max(tokens) < LEAST_SPAN * min(tokens):
            problems.append(f"the tokens of the {kind} runs span less than a factor of {LEAST_SPAN:g}")
    bad = [
        run.name for run in runs if not (run.loss > 0 and math.isfinite(run.loss) and run.parameters > 0 < run.tokens)
    ]
    problems += [f"{name}: losses, parameters and tokens are numbers above 0" for name in bad]
    if problems or not runs:
        reasons = "; ".join(problems) or "there is no run"
        raise DataError(f"These runs do not determine the law: {reasons}. Add runs of other sizes and lengths.")


class _Problem:
    """Residuals of log L in the constants (E, log A, alpha, then log B, beta for scratch, log B, beta, gamma for
    continued), with N and D divided by their geometric means so that constants do not lean on one another."""

    def __init__(self, runs: Sequence[CptRun]) -> None:
        self.runs = list(runs)
        self.continued = np.array([run.continued for run in runs])
        self.losses = np.array([run.loss for run in runs])
        self.unit_parameters = math.exp(float(np.mean([math.log(run.parameters) for run in runs])))
        self.unit_tokens = math.exp(float(np.mean([math.log(run.tokens) for run in runs])))
        self._fill()
        self.names = ["E", "A", "alpha"]
        self.names += ["scratch.B", "scratch.beta"] if not self.continued.all() else []
        self.names += ["continued.B", "continued.beta", "continued.gamma"] if self.continued.any() else []
        self.low, self.high = (np.array([_BOUNDS[name.split(".")[-1]][end] for name in self.names]) for end in (0, 1))

    def _fill(self) -> None:
        self.log_n = np.log([run.parameters / self.unit_parameters for run in self.runs])
        self.log_d = np.log([run.tokens / self.unit_tokens for run in self.runs])

    def resampled(self, random: np.random.Generator) -> _Problem:
        """The same with runs drawn with replacement, inside each kind."""
        kinds = [np.flatnonzero(self.continued == kind) for kind in (False, True)]
        chosen = np.concatenate([random.choice(kind, len(kind)) for kind in kinds if len(kind)])
        drawn = _Problem.__new__(_Problem)
        drawn.__dict__.update(self.__dict__)
        drawn.runs = [self.runs[index] for index in chosen]
        drawn.continued, drawn.losses = self.continued[chosen], self.losses[chosen]
        drawn._fill()
        return drawn

    def start(self, random: np.random.Generator) -> Floats:
        """Somewhere sensible: the irreducible loss below the least one, and the rest shared by the two terms."""
        least, spread = float(self.losses.min()), float(np.ptp(self.losses)) + 0.05
        values = {
            "E": least * random.uniform(0.2, 0.98),
            "A": math.log(spread * random.uniform(0.1, 2)),
            "alpha": random.uniform(0.1, 0.8),
            "B": math.log(spread * random.uniform(0.1, 2)),
            "beta": random.uniform(0.1, 0.8),
            "gamma": random.uniform(0.0, 0.3),
        }
        return np.clip([values[name.split(".")[-1]] for name in self.names], self.low + 1e-6, self.high - 1e-6)

    def solve(self, starts: Sequence[Floats]) -> Floats:
        """The best local minimum."""
        left = [
            least_squares(
                lambda packed: self.log_losses(packed) - np.log(self.losses),
                start,
                bounds=(self.low, self.high),
                loss="huber",
                f_scale=HUBER,
                x_scale="jac",
                xtol=1e-12,
                ftol=1e-12,
                max_nfev=400,
            )
            for start in starts
        ]
        return np.asarray(min(left, key=lambda one: one.cost).x)

    def log_losses(self, packed: Floats) -> Floats:
        """log L of every run."""
        values = dict(zip(self.names, packed, strict=True))
        terms = np.full(len(self.runs), values["E"]) + np.exp(values["A"] - values["alpha"] * self.log_n)
        for kind, mask in (("scratch", ~self.continued), ("continued", self.continued)):
            if mask.any():
                gamma = values.get(f"{kind}.gamma", 0.0)
                exponent = values[f"{kind}.B"] - values[f"{kind}.beta"] * self.log_d - gamma * self.log_n
                terms[mask] += np.exp(exponent[mask])
        return np.log(terms)

    def laws(self, packed: Floats) -> tuple[Law | None, Law | None]:
        """(from scratch, continued), for N and D as they are."""
        values = dict(zip(self.names, packed, strict=True))
        shared_a = math.exp(values["A"]) * self.unit_parameters ** values["alpha"]
        found: list[Law | None] = []
        for kind in ("scratch", "continued"):
            if f"{kind}.B" not in values:
                found.append(None)
                continue
            beta, gamma = float(values[f"{kind}.beta"]), float(values.get(f"{kind}.gamma", 0.0))
            scale = math.exp(values[f"{kind}.B"]) * self.unit_tokens**beta * self.unit_parameters**gamma
            found.append(Law(float(values["E"]), float(shared_a), float(values["alpha"]), float(scale), beta, gamma))
        return found[0], found[1]

    def named(self, packed: Floats) -> dict[str, float]:
        """Constant -> value."""
        scratch, continued = self.laws(packed)
        law = scratch or continued
        assert law is not None, "there is at least one run"
        values = {"E": law.E, "A": law.A, "alpha": law.alpha}
        for kind, one in (("scratch", scratch), ("continued", continued)):
            if one is not None:
                values |= {f"{kind}.B": one.B, f"{kind}.beta": one.beta}
                values |= {"continued.gamma": one.gamma} if kind == "continued" else {}
        return values

    def at_bound(self, packed: Floats) -> tuple[str, ...]:
        """Names of constants at an end of their range."""
        near = np.minimum(packed - self.low, self.high - packed) < 1e-3 * (self.high - self.low)
        return tuple(name for name, close in zip(self.names, near, strict=True) if close)
