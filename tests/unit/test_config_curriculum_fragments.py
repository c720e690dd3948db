"""configs/curriculum/: each file works when a run includes it, and says what the paper says."""

from __future__ import annotations

from pathlib import Path

import pytest

from megakor.config.check import check
from megakor.config.load import load
from megakor.config.problems import errors_of, render
from megakor.config.schema import Config

FRAGMENTS = sorted(path.stem for path in (Path(__file__).parents[2] / "configs" / "curriculum").glob("*.yaml"))
B = 10**9
RUN = """\
include: curriculum/{name}.yaml
model: {{layers: 4, hidden_size: 64, ffn_hidden_size: 128, attention_heads: 4, vocabulary_size: 1000}}
train: {{global_batch_size: 1Mi, sequence_length: 256, micro_batch_size: 2}}
data: {{tokenizer: nowhere, sources: {{domain: {{language: ko}}, {trained}}}}}
evaluation: {{sources: {{{measured}}}}}
"""
GENERAL = "general: {language: en}"
WITH_REPLAY = ("pretraining_mixture", "stability_gap", "replay_controller")
WITHOUT_DOMAIN = ("measured", "topic_mixture")


def config_with(directory: Path, name: str) -> Config:
    """A run that adds what a fragment leaves to its user. `general` is a source, or only measured."""
    trained, measured = (GENERAL, "") if name in WITH_REPLAY else ("", GENERAL)
    path = directory / "run.yaml"
    path.write_text(RUN.format(name=name, trained=trained, measured=measured))
    overrides = ["data.sources.domain.path=d", "evaluation.sources.general.path=g"] if name in WITHOUT_DOMAIN else []
    loaded = load(path, overrides)
    assert not loaded.problems
    return loaded.config


@pytest.mark.parametrize("name", FRAGMENTS)
def test_a_run_that_includes_it_is_valid(tmp_path: Path, name: str) -> None:
    errors = errors_of(check(config_with(tmp_path, name), 1, cuda_available=False))
    assert not errors, render(errors)


def test_the_recipe_is_that_of_the_paper(tmp_path: Path) -> None:
    plain, subset, mixture, recipe = (
        config_with(tmp_path, name) for name in ("plain", "subset_epochs", "pretraining_mixture", "stability_gap")
    )
    assert recipe.train.tokens / plain.train.tokens == 0.4
    tenth = subset.data.sources["domain"].subset
    assert tenth is not None and tenth.tokens * 10 == plain.train.tokens
    assert subset.data.sources["domain"].epochs == 4 and tenth.tokens * 4 == recipe.train.tokens
    replay, drawn = recipe.data.phases[0].replay, recipe.data.sources["domain"].subset
    assert replay == mixture.data.phases[0].replay and replay is not None and replay.ratio == pytest.approx(1 - 0.82)
    assert drawn is not None and drawn.resample
    assert drawn.tokens * 4 == round(0.82 * recipe.train.tokens)
    assert plain.evaluation.early[0] == 0.25 * B and plain.report.weight_distance
