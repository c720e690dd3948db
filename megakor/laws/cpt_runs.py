"""Runs of continued training and of training from scratch, and files of laws fitted to them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from megakor.config.load import load_config
from megakor.config.parameters import count_parameters
from megakor.config.phases import steps_of
from megakor.config.schema import Config
from megakor.config.vocabulary import vocabulary_size
from megakor.curriculum.cmr.measurements import read_json
from megakor.curriculum.cpt_law import PUBLISHED, Law, Laws
from megakor.curriculum.cpt_law_fit import CptFit, CptRun
from megakor.errors import ConfigError, DataError
from megakor.report.metrics import read_metrics, surviving
from megakor.report.records import by_language, evaluations
from megakor.storage import write_text

DATA_FORMAT = "megakor-cpt-law-data-1"
LAW_FORMAT = "megakor-cpt-law-1"


def read_run(directory: Path, language: str, continued: bool) -> CptRun:
    """The end of a run: parameters without embeddings, tokens of the language, its last validation loss.

    Raises DataError, ConfigError.
    """
    config = load_config(directory / "config.yaml")
    vocabulary = vocabulary_size(config)
    if vocabulary is None:
        raise DataError(f"{directory}: the vocabulary is not known here. Set model.vocabulary_size in its config.yaml.")
    found = evaluations(surviving(read_metrics(directory / "metrics.jsonl")))
    last = max(found, default=0)
    losses = by_language(found[last]) if found else {}
    if language not in losses or last == 0:
        raise DataError(f"{directory / 'metrics.jsonl'}: no validation loss of {language} after the first step.")
    if last < config.train.tokens:
        raise DataError(
            f"{directory}: its last evaluation is at {last:,} of {config.train.tokens:,} tokens. The law is fitted to "
            "the ends of runs, whose learning rate has decayed: finish the run, or leave it out."
        )
    return CptRun(
        name=directory.resolve().name,
        parameters=count_parameters(config.model, vocabulary).non_embedding,
        tokens=_tokens_of(config, language, directory),
        loss=losses[language].loss,
        continued=continued,
    )


def _tokens_of(config: Config, language: str, directory: Path) -> float:
    """Tokens of sources in this language that the phases intend."""
    total = 0.0
    for steps in steps_of(config):
        if steps.phase.unknown or steps.phase.controllers is not None:
            raise DataError(f"{directory}: the mixture of phase '{steps.phase.name}' is not in its config.yaml.")
        shares = steps.shares().items()
        share = math.fsum(share for name, share in shares if config.data.sources[name].language == language)
        total += share * steps.tokens
    return total


def read_data(path: Path) -> list[CptRun]:
    """The runs of a data file. Raises DataError."""
    content = read_json(path, "a data file")
    if content.get("format") != DATA_FORMAT:
        raise DataError(f'{path}: "format" is {content.get("format")!r}, and not "{DATA_FORMAT}".')
    try:
        return [
            CptRun(
                str(run["name"]),
                float(run["parameters"]),
                float(run["tokens"]),
                float(run["loss"]),
                bool(run["continued"]),
            )
            for run in content["runs"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: a run needs name, parameters, tokens, loss and continued ({error!r}).") from error


def write_law(fit: CptFit, runs: Sequence[CptRun], path: Path) -> None:
    """Raises StorageError."""
    record: dict[str, Any] = {
        "format": LAW_FORMAT,
        "scratch": fit.scratch and asdict(fit.scratch),
        "continued": fit.continued and asdict(fit.continued),
        "intervals": {name: list(interval) for name, interval in fit.intervals.items()},
        "at_bound": list(fit.at_bound),
        "runs": [{**asdict(run), "error": error} for run, error in zip(runs, fit.errors, strict=True)],
    }
    write_text(path, json.dumps(record, ensure_ascii=False, indent=1) + "\n")


def read_law(path: Path | None) -> tuple[Law | None, Law | None]:
    """(from scratch, continued) of a fitted file; without a path the paper's. Raises DataError."""
    if path is None:
        return PUBLISHED.scratch, PUBLISHED.continued
    content = read_json(path, "a fitted law")
    if content.get("format") != LAW_FORMAT:
        raise DataError(f'{path}: "format" is {content.get("format")!r}, and not "{LAW_FORMAT}".')
    try:
        scratch, continued = (Law(**content[kind]) if content[kind] else None for kind in ("scratch", "continued"))
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: not a file that megakor cpt-law fit has written ({error!r}).") from error
    if content.get("at_bound"):
        raise DataError(
            f"{path}: the runs do not determine {', '.join(content['at_bound'])}: nothing can be planned with it. "
            "Add runs of other sizes and lengths, and fit again."
        )
    return scratch, continued


def both_laws(path: Path | None) -> Laws:
    """Both laws. Raises ConfigError when one was not fitted."""
    scratch, continued = read_law(path)
    if scratch is None or continued is None:
        missing = "training from scratch" if scratch is None else "continued training"
        raise ConfigError(f"{path}: holds no law of {missing}; fit it with runs of both kinds.")
    return Laws(scratch, continued)


PUBLISHED_WARNING = (
    "Constants of arXiv 2407.02118 (LLaMA-2 models, English to Chinese): they belong to that tokenizer and corpus. "
    "Ratios may carry over to others, sizes and losses do not."
)
