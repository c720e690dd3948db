"""A rank from its first breath to its exit code: process groups, the run, the end it comes to."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TextIO

import torch.distributed as dist

from megakor.config.schema import Config
from megakor.errors import ExitCode, LostError
from megakor.launch.rendezvous import Rendezvous
from megakor.lock import lock_directory
from megakor.parallel.device import Device, choose_device
from megakor.parallel.first_rank import on_first_rank
from megakor.parallel.topology import Topology, lost_ranks_reported, start_process_groups, stop_process_groups
from megakor.resilience.listener import StopListener
from megakor.resilience.stopping import Stopped, Stopping
from megakor.resilience.time_limit import saving_time
from megakor.train.loop import fit
from megakor.train.run import Run, open_run


def pretrain(config: Config, listener: StopListener) -> ExitCode:
    """Train from the config, or go on from the newest checkpoint of its run directory, to the end of the token budget,
    or until it is asked to stop.

    Returns:
        DONE; REQUEUE where the run has saved and is to be started again.
    """
    rendezvous = Rendezvous.from_environment()
    device = choose_device(config.device, rendezvous.local_rank)
    limits, now = config.resilience, time.time()
    end = saving_time(limits.time_limit_minutes, limits.stop_before_seconds, os.environ, now)
    topology = start_process_groups(config.parallel, device, rendezvous)
    listener.arm(limits.grace_seconds, end)
    try:
        with lost_ranks_reported(), on_first_rank(lambda: _lock(config)) or nullcontext():
            run = _open(config, device, topology, listener)
            with run.reporter:
                return _train(run)
    except Stopped as stopped:
        return stopped.exit_code
    finally:
        stop_process_groups()


def _lock(config: Config) -> TextIO:
    return lock_directory(Path(config.run.dir), "Stop that run, or set another run.dir.")


def _open(config: Config, device: Device, topology: Topology, listener: StopListener) -> Run:
    """Raises Stopped, too, where a rank that had no process groups yet has ended on the signal that this one heard."""
    try:
        with lost_ranks_reported():
            stopping = Stopping(listener, dist.new_group(backend="gloo"))
            return open_run(config, device, topology, stopping)
    except LostError as error:
        if request := listener.request():
            raise Stopped(request, listener.why) from error
        raise


def _train(run: Run) -> ExitCode:
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
