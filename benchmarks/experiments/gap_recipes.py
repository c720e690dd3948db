"""The runs of the experiment on the stability gap: a base, and the recipes of configs/curriculum/ in a small size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from english_base import english_base, falling, frozen_base, frozen_batch, frozen_shape, run_config
from material import Material
from options import Options
from running import Planned, carry_out, say
from scale import KI, Scale

from megakor.config.load import load_config
from megakor.config.schema import Config, ProbeConfig
from megakor.config.schema_data import PhaseConfig, SourceConfig
from megakor.config.schema_training import LrConfig
from megakor.corpus.operations.ranking import BestOptions, best_documents
from megakor.corpus.operations.workplace import Output
from megakor.storage import make_directory, write_text

PAPER = 50_000_000_000
"""Tokens of the plain recipe in the fragments."""
KOREAN_BEFORE = 0.2
"""Share of Korean in what the base reads last: a domain of which nothing is known cannot be lost."""
EVERY, EARLY = 15_000_000_000, (500_000_000, 1_000_000_000, 2_000_000_000, 4_000_000_000, 7_500_000_000)
"""Evaluation points in the tokens of the paper. Fewer than the fragments have, on more text each."""
COPIES = 8
"""Sequences of the copying probe; each repeats a quarter of a row."""


@dataclass(frozen=True)
class Size:
    """In tokens: of the plain recipe, of the pilot's, and of what the base reads last. `rates` are peaks to try."""

    plain: int
    pilot: int
    bilingual: int
    rates: tuple[float, ...]


FULL = Size(256 * KI, 96 * KI, 128 * KI, (5e-4, 1.5e-3))
SHORT = Size(16 * KI, 8 * KI, 8 * KI, (3e-3,))


def bilingual_base(options: Options, size: Size, material: Material, seed: int) -> Path:
    """The English base of a seed, gone on with English and some Korean; the directory of its run."""
    english = english_base(options, material, seed)
    batch, name = frozen_batch(options), f"bilingual-seed-{seed}"
    config = run_config(options, material, frozen_shape(options), batch, options.output / name, seed, size.bilingual)
    config.run.base = str(english)
    config.lr = falling(frozen_base(options).chosen["peak"] / 2, size.bilingual, batch)
    config.data.sources = {
        "general": SourceConfig(str(material.shard("en")), "en", tags=["general"]),
        "domain": SourceConfig(str(material.shard("ko")), "ko", tags=["domain"]),
    }
    config.data.phases = [PhaseConfig(weights={"general": 1 - KOREAN_BEFORE, "domain": KOREAN_BEFORE})]
    run = Planned(name, config)
    carry_out([run], options.output, keep=True)
    return run.directory


@dataclass(frozen=True)
class Recipe:
    """One run of a recipe. `plain` is what the plain recipe has in tokens: all others follow from it."""

    name: str
    base: Path
    output: Path
    plain: int
    seed: int
    rate: float


def run_recipe(options: Options, material: Material, recipe: Recipe) -> Path:
    """Carry a recipe out; returns the directory of its run. Raises MegakorError."""
    run = Planned(recipe.name, _config(options, material, recipe))
    carry_out([run], recipe.output)
    return run.directory


def _config(options: Options, material: Material, recipe: Recipe) -> Config:
    """A fragment of configs/curriculum/ in this size, with the model and text of the experiments."""
    scale, batch = options.scale, frozen_batch(options)
    fragment = _fragment(options, recipe.name)

    def scaled(tokens: int) -> int:
        return batch.whole(tokens * recipe.plain / PAPER)

    tokens = scaled(fragment.train.tokens)
    directory = recipe.output / recipe.name
    config = run_config(options, material, frozen_shape(options), batch, directory, recipe.seed, tokens)
    config.run.base = str(recipe.base)
    config.lr = LrConfig(schedule="cosine", peak=recipe.rate, minimum=recipe.rate / 10, warmup=batch.whole(tokens / 20))
    config.data.sources, config.data.phases = fragment.data.sources, fragment.data.phases
    _fill_sources(config, scale, material, recipe)
    config.evaluation = replace(
        fragment.evaluation,
        tokens=scale.evaluation,
        every=scaled(EVERY),
        early=sorted({scaled(tokens) for tokens in EARLY}),
        probes=_probes(material, scale),
    )
    for source in config.evaluation.sources.values():
        source.path, source.language = str(material.held_out("en")), "en"
    config.report = replace(config.report, weight_distance=fragment.report.weight_distance)
    return config


def _fragment(options: Options, name: str) -> Config:
    path = options.output / "fragments" / f"{name}.yaml"
    make_directory(path.parent)
    write_text(path, f"include: curriculum/{name}.yaml\n")
    return load_config(path)


def _fill_sources(config: Config, scale: Scale, material: Material, recipe: Recipe) -> None:
    """Paths, languages and scaled subsets. What the fragment takes from `data/domain-best` is made here."""
    factor = recipe.plain / PAPER
    for name, source in config.data.sources.items():
        language = "ko" if name == "domain" else "en"
        best = source.path.endswith("-best")
        source.path, source.language = str(material.shard(language)), language
        source.validation = str(material.held_out(language))
        if best:
            # All three strategies draw each pass anew, from twice as much.
            part = source.subset.tokens * 2 * factor if source.subset else config.train.tokens / (source.epochs or 1)
            source.path = str(_best(recipe.output, material, language, round(part)))
        if source.subset is not None:
            rows = round(source.subset.tokens * factor / scale.row)
            source.subset = replace(source.subset, tokens=rows * scale.row)


def _best(output: Path, material: Material, language: str, tokens: int) -> Path:
    """The best documents of a shard by perplexity (`megakor corpus best`); made once."""
    prefix = output / "shards" / f"{language}-best-{tokens}"
    make_directory(prefix.parent)
    best_documents([material.shard(language)], Output(prefix), BestOptions("perplexity", False, tokens), say)
    return prefix


def _probes(material: Material, scale: Scale) -> dict[str, ProbeConfig]:
    return {
        "english": ProbeConfig(path=str(material.probe("en")), items=scale.probe_items),
        "korean": ProbeConfig(path=str(material.probe("ko")), items=scale.probe_items),
        "copying": ProbeConfig(kind="copying", items=COPIES, length=scale.row // 4),
    }
