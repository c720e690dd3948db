"""TensorBoard, for people. The horizontal axis ("step") is tokens consumed, the run's only clock.

Event files are written with the tensorboard package alone; torch is not needed. TensorBoard keeps numbers as float32:
all digits are in metrics.jsonl.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.summary.writer.record_writer import RecordWriter

from megakor.report.measures import Measure
from megakor.report.metrics import RESUME
from megakor.report.records import TrainRecord, ValidationRecord, by_language
from megakor.report.tensorboard_layout import layout_summary
from megakor.storage import CONTINUE, storage_errors
from megakor.units import GIBIBYTE


class TensorBoardOutput:
    """Writes one new event file in `directory`; it is flushed after every record.

    Raises StorageError when the file cannot be opened or written.
    """

    def __init__(self, directory: Path, texts: Mapping[str, str], layout: Layout | None = None) -> None:
        """`texts` are shown in the Text tab, under their names, as they are; `layout` is that of Custom Scalars."""
        with storage_errors(directory, CONTINUE):
            directory.mkdir(parents=True, exist_ok=True)
            self.path = _new_event_file(directory)
            self._writer = RecordWriter(self.path.open("xb"))
        self._write(Event(file_version="brain.Event:2"))
        values = [_text(name, text) for name, text in texts.items()]
        if layout is not None:
            values.append(layout_summary(layout))
        if values:
            self._write(Event(step=0, summary=Summary(value=values)))

    def train(self, record: TrainRecord) -> None:
        self._scalars(record.tokens, train_scalars(record))

    def validation(self, records: Sequence[ValidationRecord]) -> None:
        self._scalars(records[0].tokens, validation_scalars(records))

    def measures(self, records: Sequence[Measure]) -> None:
        self._scalars(records[0].tokens, measure_scalars(records))

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        """A resume hides what an earlier attempt wrote beyond it; other events are not shown."""
        if name == RESUME:
            start = SessionLog(status=SessionLog.START)
            self._write(Event(step=fields["tokens"] + 1, session_log=start))

    def sync(self) -> None:
        """Event files are for people: metrics.jsonl has all that is in them."""

    def close(self) -> None:
        with suppress(OSError):  # every write has been flushed
            self._writer.close()

    def _scalars(self, tokens: int, scalars: Mapping[str, float]) -> None:
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self._write(Event(step=tokens, summary=Summary(value=values)))

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        with storage_errors(self.path, CONTINUE):
            self._writer.write(event.SerializeToString())
            self._writer.flush()


def train_scalars(record: TrainRecord) -> dict[str, float]:
    """Tag -> value of one training step."""
    scalars = {
        "train/loss": record.loss,
        "train/lr": record.lr,
        "train/grad_norm": record.grad_norm,
        "train/batch_tokens": record.batch_tokens,
        "train/sequence_length": record.sequence_length,
        "throughput/tokens_per_second": record.tokens_per_second,
        "throughput/seconds_per_step": record.seconds,
    }
    if record.mfu is not None:
        scalars["throughput/mfu"] = record.mfu
    for place, peak in (("host", record.host_peak_bytes), ("device", record.device_peak_bytes)):
        if peak is not None:
            scalars[f"memory/{place}_peak_gib"] = peak / GIBIBYTE
    for name, score in (("loss", record.loss_score), ("gradient", record.gradient_score)):
        if score is not None:
            scalars[f"spikes/{name}_score"] = score
    if record.replay is not None:
        scalars |= {f"replay/{name}": share for name, share in asdict(record.replay).items()}
    shares = record.shares()
    for name, source in record.sources.items():
        scalars[f"mixture/{name}/realised"] = shares[name]
        scalars[f"mixture/{name}/intended"] = source.intended
        scalars[f"data/{name}/tokens"] = source.tokens
        scalars[f"data/{name}/epoch"] = source.epoch
    return scalars


def validation_scalars(records: Sequence[ValidationRecord]) -> dict[str, float]:
    """Tag -> value of one evaluation: every source, and the mean of every language."""
    places = {f"validation/{record.language}/{record.source}": record for record in records}
    places |= {f"validation/{language}": record for language, record in by_language(records).items()}
    scalars = {}
    for place, record in places.items():
        scalars[f"{place}/loss"] = record.loss
        scalars[f"{place}/bits_per_byte"] = record.bits_per_byte
    return scalars


def measure_scalars(records: Sequence[Measure]) -> dict[str, float]:
    """Tag -> value of what else was measured at one evaluation."""
    return {tag: value for record in records for tag, value in record.scalars().items()}


def _new_event_file(directory: Path) -> Path:
    """A name that no other file has. TensorBoard reads event files in the order of their names, so time comes first."""
    stem = f"events.out.tfevents.{time.time_ns() // 10**9:010d}.{socket.gethostname()}.{os.getpid()}"
    return next(path for number in count() if not (path := directory / f"{stem}.{number}").exists())


def _text(name: str, text: str) -> Summary.Value:
    # An indented block is code in Markdown, the language of the Text tab.
    code = "".join(f"    {line}\n" for line in text.splitlines())
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
    tensor = TensorProto(dtype=DT_STRING, string_val=[code.encode()], tensor_shape=shape)
    plugin = SummaryMetadata.PluginData(plugin_name="text")
    return Summary.Value(tag=name, metadata=SummaryMetadata(plugin_data=plugin), tensor=tensor)
