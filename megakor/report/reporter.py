"""The one place the loop reports to: metrics.jsonl, TensorBoard and the console."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TextIO

from megakor.config.load import config_text
from megakor.config.schema import Config, ModelConfig
from megakor.report.console import ConsoleOutput
from megakor.report.flops import Peak, model_flops_per_token, model_flops_utilization, peak_of
from megakor.report.measures import Measure
from megakor.report.memory import peak_device_bytes, peak_host_bytes
from megakor.report.metrics import RESUME, Line, MetricsFile
from megakor.report.records import TrainRecord, ValidationRecord


class Output(Protocol):
    """Something that shows or keeps records."""

    def train(self, record: TrainRecord) -> None:
        """One training step."""

    def validation(self, records: Sequence[ValidationRecord]) -> None:
        """All records of one evaluation; never none."""

    def measures(self, records: Sequence[Measure]) -> None:
        """What else was measured at one evaluation; never nothing."""

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Something that happened."""

    def sync(self) -> None:
        """Whatever programs read survives a loss of power."""

    def close(self) -> None:
        """No record follows."""


@dataclass(frozen=True)
class Hardware:
    """What the whole run computes on."""

    device_name: str = "cpu"
    """As the driver reports it: "NVIDIA H100 80GB HBM3"."""
    devices: int = 1


class MetricsOutput:
    """Every record as a line of metrics.jsonl, with the wall-clock time (seconds since 1970) added."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = MetricsFile(path)
        self._clock = clock

    def train(self, record: TrainRecord) -> None:
        self._write(record.line())

    def validation(self, records: Sequence[ValidationRecord]) -> None:
        for record in records:
            self._write(record.line())

    def measures(self, records: Sequence[Measure]) -> None:
        for record in records:
            self._write(record.line())

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        self._write({"kind": "event", "name": name, **fields})

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        self._file.close()

    def _write(self, line: Line) -> None:
        self._file.write({**line, "time": round(self._clock(), 3)})


class Reporter:
    """Passes every record on to all outputs; on every rank but one it is disabled and does nothing.

    Use it as a context manager, or call `close`. Raises StorageError when the run directory cannot be written.
    """

    def __init__(
        self,
        run_dir: Path,
        config: Config,
        *,
        enabled: bool,
        vocabulary_size: int | None = None,
        hardware: Hardware | None = None,
        stream: TextIO | None = None,
    ) -> None:
        """`vocabulary_size` is the tokenizer's: FLOPs are counted with it. `stream` takes the place of stdout."""
        self._outputs: list[Output] = []
        self._model = config.model
        self._vocabulary_size = vocabulary_size or config.model.vocabulary_size
        self._hardware = hardware or Hardware()
        self.peak = peak_of(self._hardware.device_name, config.train.precision)
        if enabled:
            self._outputs = _open_outputs(run_dir, config, stream)
            self.event(
                "hardware", device=self._hardware.device_name, devices=self._hardware.devices, mfu=self._mfu_note()
            )

    def train(self, record: TrainRecord) -> None:
        """One training step; utilisation and memory are added here."""
        if self._outputs:
            measured = replace(
                record,
                mfu=self._utilization(record),
                host_peak_bytes=peak_host_bytes(),
                device_peak_bytes=peak_device_bytes(),
            )
            for output in self._outputs:
                output.train(measured)

    def validation(self, *records: ValidationRecord) -> None:
        """All records of one evaluation, or one at a time."""
        for output in self._outputs if records else ():
            output.validation(records)

    def measures(self, records: Sequence[Measure]) -> None:
        """What else was measured at one evaluation: probes, weights, gaps."""
        for output in self._outputs if records else ():
            output.measures(records)

    def event(self, name: str, **fields: Any) -> None:
        """Something that happened, with numbers and texts that describe it. `tokens` says when."""
        for output in self._outputs:
            output.event(name, fields)

    def resumed(self, tokens: int, attempt: int) -> None:
        """The run continues at `tokens`: what an earlier attempt reported beyond them no longer counts.

        Call it before the first record of every attempt but the first, with 0 tokens where there was no checkpoint.
        """
        self.event(RESUME, tokens=tokens, attempt=attempt)

    def sync(self) -> None:
        """Call it before a checkpoint: none may outlive the lines of the steps that led to it."""
        for output in self._outputs:
            output.sync()

    def close(self) -> None:
        """Close every output; nothing may be reported after it."""
        for output in self._outputs:
            output.close()

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _mfu_note(self) -> str:
        return f"n/a: no peak is known for {self._hardware.device_name}" if self.peak is None else f"of {self.peak}"

    def _utilization(self, record: TrainRecord) -> float | None:
        if self._vocabulary_size is None:
            return None
        return utilization(record, self._model, self._vocabulary_size, self._hardware.devices, self.peak)


def utilization(
    record: TrainRecord, model: ModelConfig, vocabulary_size: int, devices: int, peak: Peak | None
) -> float | None:
    """MFU of one step."""
    span = record.sequence_length if record.attention_span is None else record.attention_span
    flops = model_flops_per_token(model, vocabulary_size, span)
    return model_flops_utilization(flops, record.tokens_per_second, devices, peak)


def _open_outputs(run_dir: Path, config: Config, stream: TextIO | None) -> list[Output]:
    outputs: list[Output] = [MetricsOutput(run_dir / "metrics.jsonl")]
    if config.report.tensorboard:
        # 0.3 s that no other command should wait for
        from megakor.report.tensorboard import TensorBoardOutput
        from megakor.report.tensorboard_layout import layout_of

        texts = {"config": config_text(config)}
        outputs.append(TensorBoardOutput(run_dir / "tensorboard", texts, layout_of(config)))
    outputs.append(ConsoleOutput(config.train.tokens, config.report.every, stream))
    return outputs
