"""Opens a run from a config or from the newest checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from megakor.checkpoint.listing import Checkpoint
from megakor.checkpoint.manager import CheckpointManager, Policy
from megakor.checkpoint.ranks import Ranks
from megakor.config.evaluation_grid import EvaluationGrid
from megakor.config.parameters import without_weights
from megakor.config.phases import phases_of
from megakor.config.schema import Config
from megakor.corpus.tokenizer import Tokenizer
from megakor.data.ledger import LedgerWriter
from megakor.data.start import compile_table, start_stream
from megakor.data.stream import TokenStream
from megakor.data.unlearnt import unlearnt_ids
from megakor.parallel.device import Device
from megakor.parallel.first_rank import on_first_rank, shared_from_first_rank
from megakor.parallel.topology import Topology
from megakor.report.reporter import Hardware, Reporter
from megakor.resilience.guard import Guard
from megakor.resilience.rollbacks import Rollback
from megakor.resilience.stragglers import StepTimes
from megakor.train.base import Base, base_of, load_base
from megakor.train.describe import describe_start
from megakor.train.distance_origin import distance_from_origin
from megakor.train.engine import Engine, build_engine
from megakor.train.learning_rate import LearningRate
from megakor.train.measuring import Measuring
from megakor.train.rollback import leave_abandoned_future, tell_rollbacks
from megakor.train.run import Run, Watch
from megakor.train.state import restore_state, sharded_state
from megakor.train.steering import check_validation_text


@dataclass(frozen=True)
class _Origin:
    """What a start finds to begin with."""

    checkpoint: Checkpoint | None
    """The newest of the run itself, with its state."""
    saved: dict[str, Any] | None
    base: Base | None
    """What the run began with, now or at its first start."""

    @property
    def new_base(self) -> Base | None:
        """A base of which nothing is in the run yet."""
        return self.base if self.saved is None else None

    @property
    def steps(self) -> int:
        """Of the optimizer until now, with those whose update was refused."""
        return (self.saved["step"] if self.saved else 0) + (self.base.updates if self.base else 0)


def open_run(config: Config, device: Device, topology: Topology, watch: Watch) -> Run:
    """Open a run, and resume it if its directory holds a checkpoint. Collective.

    Raises:
        Stopped: on every rank; nothing has been trained.
        MegakorError: on every rank, with what is wrong with data, directory or checkpoint.
    """
    directory = Path(config.run.dir)
    on_first_rank(lambda: _prepare_directory(directory))
    rollbacks = shared_from_first_rank(lambda: leave_abandoned_future(directory))
    tokenizer = Tokenizer.load(config.data.tokenizer)
    unlearnt = unlearnt_ids(config, tokenizer)
    reporter = _reporter(directory, config, device, topology, tokenizer)
    try:
        run = _opened(config, device, topology, watch, tokenizer, unlearnt, rollbacks, reporter)
        on_first_rank(lambda: tell_rollbacks(directory, rollbacks, reporter))
    except BaseException:
        reporter.close()
        raise
    return run


def _opened(
    config: Config,
    device: Device,
    topology: Topology,
    watch: Watch,
    tokenizer: Tokenizer,
    unlearnt: Mapping[str, int],
    rollbacks: list[Rollback],
    reporter: Reporter,
) -> Run:
    directory, ranks = Path(config.run.dir), Ranks()
    rate = LearningRate.from_config(config, phases_of(config))
    checkpoints = _checkpoints(directory, config, topology, reporter)
    origin = _origin(config, tokenizer, checkpoints, watch, ranks)
    saved = origin.saved or {}
    stream = _open_stream(config, tokenizer, origin, rate, topology)
    watch.check()
    engine = build_engine(config, device, topology, stream.schedule.longest_sequence)
    engine.use_rope_base(stream.schedule.phase_at(stream.tokens_consumed).rope_base)
    watch.check()
    guard = Guard(config.resilience.anomalies, [(one.to, one.past) for one in rollbacks])
    guard.load_state_dict(saved.get("guard", guard.state_dict()))
    watch.stopping.decisions = lambda: guard.refused
    if origin.new_base is not None:
        load_base(engine, origin.new_base, ranks)
    distance = distance_from_origin(config, engine, checkpoints, origin.saved, reporter, origin.base, ranks)
    if origin.checkpoint is not None:
        loaded = checkpoints.load(origin.checkpoint, sharded_state(engine, loading=True))
        restore_state(engine, loaded, origin.steps - guard.refused)
    watch.check()
    ledger = on_first_rank(lambda: LedgerWriter(directory / "ledger.jsonl", stream))
    describe_start(reporter, ledger, stream, config, device, topology)
    if (base := origin.new_base) is not None:
        reporter.event("base", tokens=0, what=base.what, checkpoint=base.path, saved_at=base.saved_at)
    measuring = Measuring(config, engine, tokenizer, reporter, distance)
    check_validation_text(stream.schedule, measuring.sets)
    if "measuring" in saved:
        measuring.load_state_dict(saved["measuring"])
    return Run(
        config=config,
        engine=engine,
        schedule=stream.schedule,
        grid=EvaluationGrid.compile(config, phases_of(config)),
        learning_rate=rate,
        stream=stream,
        measuring=measuring,
        checkpoints=checkpoints,
        reporter=reporter,
        unlearnt=unlearnt,
        ledger=ledger,
        began={"tokenizer": tokenizer.sha256, "base": asdict(origin.base) if origin.base is not None else None},
        stopping=watch.stopping,
        progress=watch.progress,
        guard=guard,
        times=_step_times(config, engine, watch),
        evaluated=saved.get("evaluated", stream.tokens_consumed) if saved else 0,
        step=saved.get("step", 0),
        evaluation_due=saved.get("evaluation_due", False),
    )


def _step_times(config: Config, engine: Engine, watch: Watch) -> StepTimes:
    settings = config.resilience.stragglers
    times = StepTimes(settings.every, settings.factor, watch.group, engine.device.kind == "cuda")

    def computed() -> None:
        times.computed()
        watch.progress.mark()

    engine.on_gradients = computed
    return times


def _prepare_directory(directory: Path) -> None:
    for name in ("checkpoints", "logs", "tensorboard"):
        (directory / name).mkdir(parents=True, exist_ok=True)


def _origin(
    config: Config, tokenizer: Tokenizer, checkpoints: CheckpointManager, watch: Watch, ranks: Ranks
) -> _Origin:
    choice = checkpoints.newest()
    watch.check()
    checkpoint = choice.checkpoint if choice is not None else None
    saved = checkpoint.json_state() if checkpoint is not None else None
    return _Origin(checkpoint, saved, base_of(config, tokenizer.sha256, saved, ranks))


def _open_stream(
    config: Config, tokenizer: Tokenizer, origin: _Origin, rate: LearningRate, topology: Topology
) -> TokenStream:
    """Rank 0 looks at the files; the others get its table."""
    saved = origin.saved
    past = saved["stream"] if saved is not None else None
    table = shared_from_first_rank(lambda: compile_table(config, tokenizer.sha256, past))
    stream, difference = start_stream(config, table, past)
    if difference is not None and saved is not None and origin.checkpoint is not None and topology.rank == 0:
        now = replace(config.model, rope_base=stream.schedule.phase_at(stream.tokens_consumed).rope_base)
        before = saved.get("model", origin.checkpoint.manifest.model)
        difference = difference.with_model(before, without_weights(now))
        print(difference.text(saved["lr"], rate.at(stream.tokens_consumed)), flush=True)
    return stream


def _checkpoints(directory: Path, config: Config, topology: Topology, reporter: Reporter) -> CheckpointManager:
    from megatron.core import parallel_state as groups

    settings = config.checkpoint
    policy = Policy(settings.keep, settings.keep_every, settings.verify, settings.async_)  # type: ignore[arg-type]
    return CheckpointManager(
        directory / "checkpoints",
        policy,
        model=asdict(config.model),
        layout={**asdict(config.parallel), "data": topology.data_size},
        replicas=groups.get_data_parallel_group(with_context_parallel=True),
        on_saved=lambda saved: reporter.event("checkpoint", tokens=saved.tokens, path=str(saved.path)),
        on_passed_over=lambda path, why: reporter.event("checkpoint_passed_over", path=str(path), why=" ".join(why)),
    )


def _reporter(directory: Path, config: Config, device: Device, topology: Topology, tokenizer: Tokenizer) -> Reporter:
    name = torch.cuda.get_device_name() if device.kind == "cuda" else "cpu"
    return Reporter(
        directory,
        config,
        enabled=topology.rank == 0,
        vocabulary_size=tokenizer.vocabulary_size,
        hardware=Hardware(name, topology.world_size),
    )
