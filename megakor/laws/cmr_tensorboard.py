"""A fit in TensorBoard: its picture, its words, and R* with its interval over budgets."""

from __future__ import annotations

from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from megakor.curriculum.cmr.analysis import Analysis
from megakor.curriculum.cmr.critical import INSIDE
from megakor.laws.cmr_plot import png
from megakor.laws.cmr_text import analysis_text
from megakor.report.tensorboard import TensorBoardOutput


def write_events(analysis: Analysis, directory: Path) -> Path:
    """Writes one event file and returns it. Raises StorageError, and ConfigError without matplotlib."""
    picture = png(analysis)
    output = _FitOutput(directory, {"cmr/fit": f"```\n{analysis_text(analysis)}\n```"})
    output.fit(analysis, picture)
    output.close()
    return output.path


class _FitOutput(TensorBoardOutput):
    def fit(self, analysis: Analysis, picture: bytes) -> None:
        """The picture at the budget, and R* at every budget where it lies between measured ratios."""
        image = Summary.Image(encoded_image_string=picture, colorspace=3)
        self._write(Event(step=analysis.tokens, summary=Summary(value=[Summary.Value(tag="cmr/fit", image=image)])))
        for one in analysis.by_budget:
            if one.critical is not None and one.critical.kind == INSIDE:
                self._scalars(round(one.tokens), {"cmr/R_star": one.critical.ratio})
