"""A rank from its first breath to its exit code: process groups, the run, the end it comes to."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TextIO

import torch.distributed as dist

from megakor.config.schema import Config
from megakor.doctor.preflight import preflight
from megakor.errors import ExitCode, LostError
from megakor.launch.rendezvous import Rendezvous
from megakor.lock import lock_directory
from megakor.parallel.device import Device, choose_device
from megakor.parallel.first_rank import on_first_rank
from megakor.parallel.topology import Topology, lost_ranks_reported, start_process_groups, stop_process_groups
from megakor.resilience.guard import RollBack
from megakor.resilience.heartbeats import Heartbeats
from megakor.resilience.listener import StopListener
from megakor.resilience.progress import CHECKPOINT, EVALUATION, START, STEP, Progress
from megakor.resilience.stopping import Stopped, Stopping
from megakor.resilience.time_limit import saving_time
from megakor.resilience.watchdog import Watchdog
from megakor.train.loop import fit
from megakor.train.opening import open_run
from megakor.train.rollback import write_down
from megakor.train.run import Watch


def pretrain(config: Config, listener: StopListener) -> ExitCode:
    """Train from the config, or go on from the newest checkpoint of its run directory, to the end of the token budget,
    or until it is asked to stop.

    Returns:
        DONE; REQUEUE where the run has saved and is to be started again.
    """
    rendezvous = Rendezvous.from_environment()
    device = choose_device(config.device, rendezvous.local_rank)
    limits, hang = config.resilience, config.resilience.hang
    end = saving_time(limits.time_limit_minutes, limits.stop_before_seconds, os.environ, time.time())
    topology = start_process_groups(config.parallel, device, rendezvous)
    listener.arm(limits.grace_seconds, end)
    floors = {
        START: hang.start_seconds,
        STEP: hang.step_seconds,
        EVALUATION: hang.evaluation_seconds,
        CHECKPOINT: hang.checkpoint_seconds,
    }
    progress = Progress(floors, hang.factor)
    try:
        with lost_ranks_reported(), on_first_rank(lambda: _lock(config)) or nullcontext():
            return _watched(config, device, topology, listener, progress)
    except Stopped as stopped:
        return stopped.exit_code
    except LostError:
        # A rank that had no process groups yet has ended on the signal that this one heard, too.
        if progress.phase == START and listener.request():
            return listener.request().exit_code
        raise
    finally:
        stop_process_groups()


def _lock(config: Config) -> TextIO:
    return lock_directory(Path(config.run.dir), "Stop that run, or set another run.dir.")


def _watched(
    config: Config, device: Device, topology: Topology, listener: StopListener, progress: Progress
) -> ExitCode:
    directory, hang = Path(config.run.dir), config.resilience.hang
    on_first_rank(Heartbeats(directory / "logs" / "heartbeats").clear)
    group = dist.new_group(backend="gloo")
    watch = Watch(Stopping(listener, group), progress, group)
    shortest = min(hang.step_seconds, hang.evaluation_seconds, hang.checkpoint_seconds, hang.start_seconds)
    with Watchdog(progress, directory / "logs", topology.rank, topology.world_size, shortest) as watchdog:
        listener.before_force = watchdog.dump_stacks
        preflight(config, group)
        while True:
            try:
                return _train(config, device, topology, watch, watchdog)
            except RollBack as asked:
                verdict = asked
            settings = config.resilience.anomalies
            on_first_rank(lambda: write_down(directory, settings, verdict))  # noqa: B023 - it is called at once


def _train(config: Config, device: Device, topology: Topology, watch: Watch, watchdog: Watchdog) -> ExitCode:
    watch.progress.enter(START)
    run = open_run(config, device, topology, watch)
    report = run.reporter.event
    watchdog.on_hang = lambda words: report("hang", tokens=watch.progress.tokens, what=words)
    with run.reporter:
        try:
            fit(run)
        except Stopped as stopped:
            if run.step:
                run.save()
                run.checkpoints.wait()
            requeue = stopped.exit_code == ExitCode.REQUEUE
            run.reporter.event("stopped", tokens=run.stream.tokens_consumed, why=str(stopped), requeue=requeue)
            return stopped.exit_code
    return ExitCode.DONE
