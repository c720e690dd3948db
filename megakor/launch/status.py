"""`megakor status`: where a run is, and how far it has come."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from megakor.checkpoint.listing import checkpoint_directories
from megakor.config.load import load_config
from megakor.errors import MegakorError
from megakor.launch.activity import OVER, Activity, activity_of
from megakor.report.metrics import Line, read_metrics, surviving


@dataclass(frozen=True)
class Status:
    """Numbers that are not there yet are None."""

    run: str
    state: str
    """waiting, running, over, or unknown."""
    activity: str
    """The same in words."""
    step: int | None = None
    tokens: int | None = None
    budget: int | None = None
    loss: float | None = None
    tokens_per_second: float | None = None
    age: float | None = None
    """Seconds since the latest line of metrics.jsonl."""
    validation: dict[str, float] = field(default_factory=dict)
    """Source -> loss of its latest evaluation."""
    checkpoint: str | None = None
    """The newest one."""
    log: str = ""


def status_of(run: Path) -> Status:
    """Raises DataError where there is no run, HardwareError where Slurm cannot be asked."""
    activity = activity_of(run)
    lines = surviving(read_metrics(path)) if (path := run / "metrics.jsonl").exists() else []
    saved = checkpoint_directories(run / "checkpoints")
    return _with_metrics(run, activity, lines, saved[-1].name if saved else None)


def status_text(run: Path, as_json: bool) -> str:
    """For people, or for programs."""
    status = status_of(run)
    if as_json:
        return json.dumps(asdict(status), ensure_ascii=False, indent=1)
    rows = [("run", status.run), ("state", status.activity), ("trained", _trained(status))]
    if status.loss is not None:
        rows.append(("loss", f"{status.loss:.4f}"))
    if status.validation:
        rows.append(("validation", ", ".join(f"{name} {loss:.4f}" for name, loss in status.validation.items())))
    rows.append(("checkpoint", status.checkpoint or "none yet"))
    if status.log:
        rows.append(("log", status.log))
    return "\n".join(f"{label:<12}{text}" for label, text in rows)


def _with_metrics(run: Path, activity: Activity, lines: list[Line], checkpoint: str | None) -> Status:
    train = next((line for line in reversed(lines) if line["kind"] == "train"), None)
    validation = [line for line in lines if line["kind"] == "validation"]
    latest = max((line["tokens"] for line in validation), default=0)
    return Status(
        run=str(run),
        state=activity.state,
        activity=activity.words,
        step=train["step"] if train else None,
        tokens=train["tokens"] if train else None,
        budget=_budget(run),
        loss=train["loss"] if train else None,
        tokens_per_second=train.get("tokens_per_second") if train else None,
        age=time.time() - lines[-1]["time"] if lines and "time" in lines[-1] else None,
        validation={line["source"]: line["loss"] for line in validation if line["tokens"] == latest},
        checkpoint=checkpoint,
        log=activity.log,
    )


def _budget(run: Path) -> int | None:
    try:
        return load_config(run / "config.yaml").train.tokens
    except MegakorError:
        return None


def _trained(status: Status) -> str:
    if status.step is None or status.tokens is None:
        return "no step yet"
    share = f" of {status.budget:,} ({status.tokens / status.budget:.1%})" if status.budget else ""
    words = [f"step {status.step:,}, {status.tokens:,} tokens{share}"]
    if status.tokens_per_second and status.state != OVER:
        words.append(f"{status.tokens_per_second:,.0f} tokens/s")
        if status.budget and status.budget > status.tokens:
            words.append(f"{_duration((status.budget - status.tokens) / status.tokens_per_second)} left")
    if status.age is not None:
        words.append(f"last heard of {_duration(max(0.0, status.age))} ago")
    return ", ".join(words)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min" if hours else f"{minutes} min"
