"""The runs of the experiment on the critical mixture ratio, carried out as `megakor cmr sweep` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from english_base import frozen_batch, frozen_shape, run_config
from material import Material
from options import Options
from running import check, run_here
from scale import KI

from megakor.config.schema import Config
from megakor.config.schema_data import PhaseConfig, SourceConfig
from megakor.curriculum.cmr.settings import Settings
from megakor.laws.cmr_sweep import run_sweep
from megakor.laws.sweep_plan import PlannedRun, SweepSettings, plan_sweep
from megakor.laws.sweep_runs import Roles
from megakor.laws.sweep_state import check_unchanged

WEIGHT = 1.0
"""lambda: nats of both losses count alike, so that the tolerance decides R* and not T0. With the paper's 1000 a ratio
must also have turned before the budget ends; the report tells what R* is then."""
ROLES = Roles(general=("english",), domain=("korean",))


@dataclass(frozen=True)
class Size:
    """How long and how many the runs are. `budgets` are those that R* is asked for, in tokens; the last is a run's, and
    the first half of it."""

    ratios: tuple[float, ...]
    left_out: float
    budgets: tuple[int, int]
    evaluations: int
    """Of a run whose curve is fitted."""
    few_evaluations: int
    """Of another run of as many tokens: even, so that both budgets are evaluated."""
    warmup: int
    rates: tuple[float, ...]
    pilot_ratios: tuple[float, float]
    replicates: int
    """Of the bootstrap behind the intervals."""

    @property
    def tokens(self) -> int:
        """Of a run of the sweep."""
        return self.budgets[-1]

    def question(self, tokens: int, epsilon: float) -> Settings:
        """What a fit is asked for one budget."""
        return Settings(tokens=tokens, epsilon=epsilon, weight=WEIGHT, replicates=self.replicates)


RATIOS, LEFT_OUT, PILOT_RATIOS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4), 3 / 8, (1 / 4, 1 / 2)
FULL = Size(RATIOS, LEFT_OUT, (128 * KI, 256 * KI), 16, 4, 8 * KI, (5e-4,), PILOT_RATIOS, 200)
SHORT = Size(RATIOS, LEFT_OUT, (4 * KI, 8 * KI), 8, 2, KI // 2, (3e-3,), PILOT_RATIOS, 20)


@dataclass(frozen=True)
class Sweep:
    """Some runs from one base."""

    output: Path
    base: Path
    ratios: tuple[float, ...]
    tokens: int
    seed: int
    rate: float
    evaluations: int
    """If it were as long as `Size.tokens`; a shorter run has fewer, as far apart."""


def sweep(options: Options, size: Size, material: Material, wanted: Sweep) -> list[PlannedRun]:
    """Carry out runs as `megakor cmr sweep` does, in this process. Raises MegakorError where one fails."""
    settings = SweepSettings(
        output=wanted.output,
        base=wanted.base,
        base_optimizer=False,
        roles=ROLES,
        ratios=wanted.ratios,
        tokens=wanted.tokens,
        seeds=(wanted.seed,),
        warmup=size.warmup,
        evaluations=wanted.evaluations * wanted.tokens // size.tokens,
    )
    runs = plan_sweep(_config(options, material, wanted), settings)
    for run in runs:
        check_unchanged(run)
        run.config.checkpoint.async_ = False  # a process for each of many short runs would cost more than it saves
    check(run_sweep(runs, settings, run_here), f"the sweep in {wanted.output}")
    return runs


def _config(options: Options, material: Material, wanted: Sweep) -> Config:
    shape, batch = frozen_shape(options), frozen_batch(options)
    config = run_config(options, material, shape, batch, wanted.output, wanted.seed, wanted.tokens)
    config.lr.peak = wanted.rate
    sources = {"english": ("en", "general"), "korean": ("ko", "domain")}
    config.data.sources = {
        name: SourceConfig(str(material.shard(language)), language, tags=[tag])
        for name, (language, tag) in sources.items()
    }
    config.data.phases = [PhaseConfig(weights={"english": 0.5, "korean": 0.5})]
    return config
