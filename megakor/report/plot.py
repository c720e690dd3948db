"""Loss curves of one or several runs as one picture. Needs matplotlib, which the extra `plot` names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from megakor.errors import ConfigError, DataError
from megakor.report.metrics import Line, read_metrics, surviving
from megakor.report.records import by_language, evaluations
from megakor.storage import storage_errors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


LOSS = "loss (nats per token)"


@dataclass(frozen=True)
class Curve:
    """Losses (nats per token) over tokens consumed."""

    tokens: tuple[int, ...]
    losses: tuple[float, ...]


@dataclass(frozen=True)
class RunCurves:
    """What is drawn of one run."""

    name: str
    train: Curve
    validation: dict[str, Curve]
    """Language -> mean over its sources."""


def read_curves(run: Path) -> RunCurves:
    """The surviving curves of a run directory.

    Raises DataError when it has no metrics, or metrics without any loss.
    """
    lines = surviving(read_metrics(run / "metrics.jsonl"))
    curves = RunCurves(run.resolve().name, _train_curve(lines), _validation_curves(lines))
    if not curves.train.tokens and not curves.validation:
        raise DataError(
            f"{run / 'metrics.jsonl'}: has no training or validation lines yet. Plot it after its first step."
        )
    return curves


def plot_runs(runs: Sequence[Path], output: Path) -> None:
    """Draw the training loss (left) and the validation loss per language (right) of all runs into `output`.

    The ending of `output` chooses the format (.png, .svg, .pdf). Raises ConfigError without matplotlib or for an
    unknown ending, DataError for a run that cannot be read, StorageError when the picture cannot be written.
    """
    figure = new_figure(12, 4.5)
    all_curves = [read_curves(run) for run in runs]
    train_axes, validation_axes = figure.subplots(1, 2, sharey=True)
    _draw_train(train_axes, all_curves)
    _draw_validation(validation_axes, all_curves)
    save_figure(figure, output)


def new_figure(width: float, height: float) -> Figure:
    """An empty picture; sizes in inches. Raises ConfigError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("Plots need matplotlib, which is not installed. Run: pip install matplotlib") from error
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, output: Path) -> None:
    """Write a picture; the ending of `output` chooses the format. Raises ConfigError for an unknown one,
    StorageError."""
    try:
        with storage_errors(output):
            figure.savefig(output, dpi=150)
    except ValueError as error:
        raise ConfigError(f"{output}: {error}. Choose another ending for --output.") from error


def style_axes(axes: Axes, title: str, score: str) -> None:
    """What all panels over tokens look like; `score` names the vertical axis."""
    axes.set_title(title)
    axes.set_xlabel("tokens")
    axes.set_ylabel(score)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()


def _draw_train(axes: Axes, all_curves: Sequence[RunCurves]) -> None:
    for curves in all_curves:
        axes.plot(curves.train.tokens, curves.train.losses, linewidth=0.8, label=curves.name)
    style_axes(axes, "training", LOSS)


def _draw_validation(axes: Axes, all_curves: Sequence[RunCurves]) -> None:
    for curves in all_curves:
        for language, curve in curves.validation.items():
            name = language if len(all_curves) == 1 else f"{curves.name}: {language}"
            axes.plot(curve.tokens, curve.losses, marker="o", markersize=3, linewidth=1.2, label=name)
    style_axes(axes, "validation", LOSS)


def _train_curve(lines: Sequence[Line]) -> Curve:
    train = [line for line in lines if line["kind"] == "train"]
    return Curve(tuple(line["tokens"] for line in train), tuple(line["loss"] for line in train))


def _validation_curves(lines: Sequence[Line]) -> dict[str, Curve]:
    points: dict[str, list[tuple[int, float]]] = {}
    for tokens, records in evaluations(lines).items():
        for language, mean in by_language(records).items():
            points.setdefault(language, []).append((tokens, mean.loss))
    return {language: Curve(*zip(*pairs, strict=True)) for language, pairs in points.items()}
