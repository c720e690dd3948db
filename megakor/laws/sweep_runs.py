"""The runs of a sweep over mixture ratios, read from their directories.

A run of a sweep is a run directory whose last phase is the continued training:
  config.yaml    the ratio (constant shares of sources tagged `domain` and `general`), the learning-rate segment
  metrics.jsonl  the losses on both, in nats per token, from before the phase's first step on
Tokens are counted from the start of that phase. Points inside the warm-up and inside a decay are not on the laws, which
hold at a constant learning rate, and are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from megakor.config.check_rates import decay_tokens
from megakor.config.load import load_config
from megakor.config.phases import PhaseSpan, phases_of
from megakor.config.schema import Config
from megakor.curriculum.cmr.measurements import Measurements, SweepRun, read_measurements
from megakor.errors import DataError
from megakor.report.metrics import read_metrics, surviving
from megakor.report.records import ValidationRecord, evaluations

DOMAIN, GENERAL = "domain", "general"
METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class Roles:
    """Which validation sets, and sources, are general and which are domain text."""

    general: tuple[str, ...]
    domain: tuple[str, ...]


def read_sweep(paths: Sequence[Path], named: Roles) -> Measurements:
    """The measurements of run directories, of directories that hold run directories, or of one data file.

    `named` are validation sets that stand for general and domain; where it names none, the tags of sources do. Raises
    DataError, ConfigError.
    """
    if len(paths) == 1 and paths[0].suffix == ".json":
        return read_measurements(paths[0])
    runs, roles = [], named
    for directory in run_directories(paths):
        config = load_config(directory / "config.yaml")
        roles = roles_of(config, named, directory)
        runs.append(_read_run(directory, config, roles))
    return Measurements(_unique_names(runs), roles.general, roles.domain)


def run_directories(paths: Iterable[Path]) -> list[Path]:
    """The paths that are run directories, and those right under the others. Raises DataError."""
    found: list[Path] = []
    for path in paths:
        if (path / METRICS).exists():
            found.append(path)
            continue
        inside = sorted(file.parent for file in path.glob(f"*/{METRICS}"))
        if not inside:
            raise DataError(
                f"{path}: neither a run directory nor a directory of them ({METRICS} is missing). Name the runs of a "
                "sweep, their directory, or one data file that ends in .json."
            )
        found += inside
    return found


def roles_of(config: Config, named: Roles, directory: Path) -> Roles:
    """The validation sets by name, or else the sources by tag. Raises DataError when a kind is missing."""
    tagged = {
        tag: tuple(name for name, source in config.data.sources.items() if tag in source.tags)
        for tag in (GENERAL, DOMAIN)
    }
    roles = Roles(named.general or tagged[GENERAL], named.domain or tagged[DOMAIN])
    for kind, sources in ((GENERAL, roles.general), (DOMAIN, roles.domain)):
        if not sources:
            raise DataError(
                f"{directory / 'config.yaml'}: no source has the tag {kind}. Tag the sources (data.sources.NAME.tags: "
                f"[{kind}]), or name the validation sets with --{kind}."
            )
    both = set(roles.general) & set(roles.domain)
    if both:
        raise DataError(f"{directory / 'config.yaml'}: {', '.join(sorted(both))} is both general and domain.")
    return roles


def _read_run(directory: Path, config: Config, roles: Roles) -> SweepRun:
    span = phases_of(config)[-1]
    first, last = _constant_rate(config, span, directory)
    found = evaluations(surviving(read_metrics(directory / METRICS)))
    batch = span.batch_tokens or config.train.global_batch_size
    base = next((tokens for tokens in found if span.start <= tokens < span.start + batch), None)
    if base is None:
        raise DataError(
            f"{directory / METRICS}: no evaluation before the first step of the phase '{span.name}', from which "
            "changes are measured. A run evaluates there when it has validation text (docs/config.md, evaluation)."
        )
    used = [tokens for tokens in found if first < tokens - span.start <= last and tokens > base]
    place = f"{directory / METRICS}"
    return SweepRun(
        name=directory.resolve().name,
        ratio=_ratio(config, span, directory),
        base_general=mean_loss(found[base], roles.general, place),
        base_domain=mean_loss(found[base], roles.domain, place),
        tokens=tuple(tokens - base for tokens in used),
        general=tuple(mean_loss(found[tokens], roles.general, place) for tokens in used),
        domain=tuple(mean_loss(found[tokens], roles.domain, place) for tokens in used),
        seed=config.run.seed,
    )


def _ratio(config: Config, span: PhaseSpan, directory: Path) -> float:
    """Domain tokens among domain and general tokens, by the tags of the sources that are trained on."""
    place = f"{directory / 'config.yaml'}, phase '{span.name}'"
    if span.unknown or span.ramp is not None or span.controllers is not None:
        raise DataError(f"{place}: a run of a sweep has one constant mixture, written as weights or as replay.ratio.")
    shares = {
        tag: math.fsum(share for name, share in span.weights.items() if tag in config.data.sources[name].tags)
        for tag in (DOMAIN, GENERAL)
    }
    if not shares[DOMAIN] > 0:
        raise DataError(f"{place}: no source with the tag {DOMAIN} is read, so the run has no ratio.")
    # Shares come from divisions: 0.25 written as weights 1 and 3 is the same ratio as replay of 0.75.
    return round(shares[DOMAIN] / (shares[DOMAIN] + shares[GENERAL]), 9)


def _constant_rate(config: Config, span: PhaseSpan, directory: Path) -> tuple[int, int]:
    """(end of the warm-up, start of the decay), in tokens of the phase. Raises DataError for a falling rate."""
    lr, before = (config.lr, span.start) if span.lr is None else (span.lr, 0)
    length = config.train.tokens if span.lr is None else span.tokens
    if lr.schedule not in ("constant", "wsd"):
        raise DataError(
            f"{directory / 'config.yaml'}: the learning rate is {lr.schedule}. Points of one run are on the law only "
            "at a constant rate: run the sweep with schedule constant (or wsd, whose decay is left out)."
        )
    decay = decay_tokens(lr, length) if lr.schedule == "wsd" else 0
    # The last batch may reach past the end of the phase: there is no decay to stay out of in a constant schedule.
    return max(lr.warmup - before, 0), length - decay - before if decay else 2**63


def mean_loss(records: Sequence[ValidationRecord], sources: Sequence[str], place: str) -> float:
    """Mean loss over the sets of one kind, each token counting once."""
    chosen = [record for record in records if record.source in sources]
    missing = set(sources) - {record.source for record in chosen}
    if missing:
        raise DataError(
            f"{place}: the evaluation at {records[0].tokens:,} tokens has no loss on {', '.join(sorted(missing))}. "
            "Give the source a validation set, or name the sets to use with --general and --domain."
        )
    tokens = sum(record.evaluated_tokens for record in chosen)
    return math.fsum(record.loss * record.evaluated_tokens for record in chosen) / max(tokens, 1)


def _unique_names(runs: Sequence[SweepRun]) -> tuple[SweepRun, ...]:
    names = [run.name for run in runs]
    return tuple(
        replace(run, name=f"{run.name} ({index})") if names.count(run.name) > 1 else run
        for index, run in enumerate(runs, 1)
    )
