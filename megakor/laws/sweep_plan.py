"""The runs of a sweep over mixture ratios: one config for each ratio and seed, which differ in nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from megakor.checkpoint.base import base_checkpoint
from megakor.checkpoint.manifest import check_model
from megakor.config.check import check, world_size_of
from megakor.config.phases import phases_of
from megakor.config.problems import raise_errors
from megakor.config.schema import CheckpointConfig, Config
from megakor.config.schema_data import PhaseConfig, SourceConfig
from megakor.config.schema_training import LrConfig
from megakor.config.vocabulary import vocabulary_size
from megakor.corpus.manifest import VALIDATION_SUFFIX
from megakor.errors import ConfigError, DataError
from megakor.laws.mixture_phases import divided
from megakor.laws.sweep_runs import DOMAIN, GENERAL, Roles

PHASE = "sweep"
SAVES = 8
"""Checkpoints on the way of a run: what is lost when it is stopped is less than this part of it."""

REPLACED = {
    "run.dir": "give --output",
    "run.base": "give --base",
    "run.base_optimizer": "give --base-optimizer",
    "run.seed": "give --seeds",
    "train.tokens": "give --tokens",
    "train.batch_ramp": "a batch that grows would move what a token is worth",
    "lr.schedule": "it is constant after --warmup",
    "lr.warmup": "give --warmup",
    "lr.decay": "there is no decay",
    "evaluation.every": "give --evaluations",
    "evaluation.early": "give --evaluations",
    "checkpoint.every": "there is one on the way, for going on",
    "checkpoint.keep": "there is one, and --keep-checkpoints keeps the last",
    "data.phases": "write what else its last phase needs into the config",
}
"""Keys of the config that a sweep sets, and what to do instead."""


@dataclass(frozen=True)
class SweepSettings:
    """What the runs of a sweep share, and over what they go."""

    output: Path
    base: Path | None
    """None: random weights, the same for all ratios of a seed."""
    base_optimizer: bool
    """Take the state of the base's optimizer, too."""
    roles: Roles
    """Sources of training."""
    ratios: tuple[float, ...]
    tokens: int
    seeds: tuple[int, ...] = ()
    """None: that of the config."""
    warmup: int | None = None
    """Default: a twentieth of the tokens."""
    evaluations: int = 24


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep."""

    name: str
    ratio: float
    seed: int
    config: Config

    @property
    def directory(self) -> Path:
        """Of the run."""
        return Path(self.config.run.dir)


def plan_sweep(config: Config, settings: SweepSettings) -> list[PlannedRun]:
    """The runs, seed by seed. Raises ConfigError, DataError, StorageError."""
    roles = settings.roles
    _check_sources(config.data.sources, roles)
    _check_lengths(config, settings)
    shared = _shared(config, settings)
    shared.run.base = None if settings.base is None else str(_base(settings.base, shared))
    shared.run.base_optimizer = settings.base_optimizer
    shares = phases_of(config)[-1].weights
    runs = []
    for seed in settings.seeds or (config.run.seed,):
        for ratio in settings.ratios:
            name = f"ratio-{ratio:.4f}-seed-{seed}"
            planned = deepcopy(shared)
            planned.run.dir, planned.run.seed = str(settings.output / name), seed
            planned.data.phases[0].weights = _weights(shares, roles, ratio)
            raise_errors(check(planned, world_size_of(planned)))
            runs.append(PlannedRun(name, ratio, seed, planned))
    return runs


def _shared(config: Config, settings: SweepSettings) -> Config:
    """The config of all runs: one phase with what the last one of `config` has, beside its mixture and its rate.
    `lr.peak` is that of the run, whatever rates its phases have."""
    shared, roles = deepcopy(config), settings.roles
    last = shared.data.phases[-1] if shared.data.phases else PhaseConfig()
    batch = last.global_batch_size or shared.train.global_batch_size
    shared.data.phases = [
        PhaseConfig(
            name=PHASE,
            sequence_length=last.sequence_length,
            global_batch_size=last.global_batch_size,
            loss_mask_tokens=last.loss_mask_tokens,
            mask=last.mask,
            rope_base=last.rope_base,
        )
    ]
    warmup = _batches(settings.tokens // 20, batch) if settings.warmup is None else settings.warmup
    shared.lr = LrConfig(schedule="constant", peak=shared.lr.peak, start=shared.lr.start, warmup=warmup)
    shared.train = replace(shared.train, tokens=settings.tokens, batch_ramp=None)
    every = _batches(settings.tokens // settings.evaluations, batch)
    shared.evaluation = replace(shared.evaluation, every=every, early=[])
    saves = _batches(settings.tokens // SAVES, batch)
    shared.checkpoint = CheckpointConfig(every=saves, keep=1, verify=config.checkpoint.verify)
    shared.data.sources = {
        name: replace(source, tags=_tags(name, source, roles))
        for name, source in shared.data.sources.items()
        if name in (*roles.general, *roles.domain)
    }
    return shared


def _batches(tokens: int, batch: int) -> int:
    """Whole batches, at least one."""
    return max(tokens // batch, 1) * batch


def _tags(name: str, source: SourceConfig, roles: Roles) -> list[str]:
    mine = DOMAIN if name in roles.domain else GENERAL
    return [*(tag for tag in source.tags if tag not in (DOMAIN, GENERAL)), mine]


def _weights(shares: Mapping[str, float], roles: Roles, ratio: float) -> dict[str, float]:
    """Sources of one kind divide its part as in the config, or equally."""
    parts = ((roles.domain, ratio), (roles.general, 1 - ratio))
    return {
        name: weight
        for names, part in parts
        if part > 0
        for name, weight in divided({name: shares.get(name, 0.0) for name in names}, part).items()
    }


def _base(path: Path, config: Config) -> Path:
    """One checkpoint for all runs, even if the base goes on meanwhile."""
    checkpoint = base_checkpoint(path)
    size = vocabulary_size(config)
    if size is not None:
        model = asdict(replace(config.model, vocabulary_size=size))
        check_model(str(checkpoint.path), checkpoint.manifest.model, model)
    return checkpoint.path


def check_overrides(overrides: Sequence[str]) -> None:
    """Raises ConfigError for a key=value whose value the sweep would replace in silence."""
    for text in overrides:
        key = text.partition("=")[0].strip()
        for mine, instead in REPLACED.items():
            if key == mine or key.startswith((f"{mine}.", f"{mine}[")):
                raise ConfigError(f"{text}: the runs of a sweep have their own {mine}; {instead}.")


def _check_sources(sources: Mapping[str, SourceConfig], roles: Roles) -> None:
    for kind, names in ((DOMAIN, roles.domain), (GENERAL, roles.general)):
        if not names:
            raise ConfigError(f"No source is {kind}: say --{kind} NAME, or tag it (data.sources.NAME.tags: [{kind}]).")
        unknown = [name for name in names if name not in sources]
        if unknown:
            raise ConfigError(f"--{kind} {unknown[0]}: there is no such source. The config has {', '.join(sources)}.")
    both = sorted({*roles.domain} & {*roles.general})
    if both:
        raise ConfigError(f"{', '.join(both)} is both --domain and --general.")


def _check_lengths(config: Config, settings: SweepSettings) -> None:
    if settings.evaluations < 1:
        raise ConfigError(f"--evaluations {settings.evaluations}: at least 1.")
    warmup = settings.warmup or 0
    if warmup >= settings.tokens:
        raise ConfigError(f"--warmup {warmup:,}: a run has {settings.tokens:,} tokens, and a fit uses those after it.")


def check_validation(config: Config, names: Iterable[str]) -> None:
    """Raises DataError when a source has no held-out text: without it a run of a sweep measures nothing."""
    for name in names:
        source = config.data.sources[name]
        prefix = source.validation or source.path + VALIDATION_SUFFIX
        if not Path(f"{prefix}.idx").is_file():
            raise DataError(
                f"data.sources.{name}: there is no validation shard {prefix}.idx, and a fit needs losses on both kinds "
                f"of text. Build the shard with a held-out share, or set data.sources.{name}.validation."
            )


def names_of(tagged: Sequence[str], config: Config, tag: str) -> tuple[str, ...]:
    """Sources as given, or else those with the tag."""
    return tuple(tagged) or tuple(name for name, source in config.data.sources.items() if tag in source.tags)
