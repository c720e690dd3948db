"""Which curves stand in one chart of TensorBoard: the Custom Scalars tab, laid out for what a bilingual run is watched
for. Written with the protocol of TensorBoard's own plugin; its helper would need tensorflow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar.layout_pb2 import Category, Chart, Layout, MultilineChartContent
from tensorboard.plugins.custom_scalar.metadata import CONFIG_SUMMARY_TAG, create_summary_metadata

from megakor.config.schema import Config


def layout_of(config: Config) -> Layout:
    """The charts of a run.

    Runs of the same sources and languages have equal charts, which TensorBoard shows once, with the curves of all.
    """
    categories = {"Mixture": _mixture(config), "Losses": _losses(config), "Stability gap": _gap()}
    if config.report.weight_distance:
        categories["Weights"] = _weights()
    return Layout(category=[Category(title=title, chart=list(charts)) for title, charts in categories.items()])


def layout_summary(layout: Layout) -> Summary.Value:
    """As the plugin finds it in an event file."""
    tensor = TensorProto(dtype=DT_STRING, string_val=[layout.SerializeToString()])
    return Summary.Value(tag=CONFIG_SUMMARY_TAG, metadata=create_summary_metadata(), tensor=tensor)


def _mixture(config: Config) -> Iterator[Chart]:
    for name in config.data.sources:
        yield _chart(f"{name}: intended and realised", rf"mixture/{re.escape(name)}/(intended|realised)")
    if any(phase.replay is not None for phase in config.data.phases):
        yield _chart("replay: intended and realised", "replay/(intended|realised|realised_in_phase)")


def _losses(config: Config) -> Iterator[Chart]:
    trained, measured = config.data.sources.values(), config.evaluation.sources.values()
    languages = _any_of([*(source.language for source in trained), *(source.language for source in measured)])
    yield _chart("validation loss by language", f"validation/{languages}/loss")
    yield _chart("bits per byte by language", f"validation/{languages}/bits_per_byte")
    yield _chart("bits per byte by source", f"validation/{languages}/.+/bits_per_byte")


def _gap() -> Iterator[Chart]:
    yield _chart("gain: better (above 0) or worse than at first", "gap/.+/gain")
    yield _chart("depth: the worst so far", "gap/.+/depth")
    yield _chart("length: tokens until it had recovered", "gap/.+/length")


def _weights() -> Iterator[Chart]:
    yield _chart("relative update of the lowest and the highest layers", "weights/(bottom|top)")
    yield _chart("bottom over top", "weights/ratio")


def _any_of(words: Iterable[str]) -> str:
    return f"({'|'.join(re.escape(word) for word in dict.fromkeys(words))})"


def _chart(title: str, tags: str) -> Chart:
    # TensorBoard matches a pattern at the beginning of a tag only.
    return Chart(title=title, multiline=MultilineChartContent(tag=[f"{tags}$"]))
