"""`megakor launch`: from a config to a job, or to ranks on this machine."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from megakor.config.check import valid_config
from megakor.config.problems import render
from megakor.config.schema import Config
from megakor.errors import ConfigError, ExitCode
from megakor.launch.foreground import mpirun_command, run_to_the_end, torchrun_command
from megakor.launch.resources import (
    DEFAULT_LOCAL_MINUTES,
    DEFAULT_SLURM_MINUTES,
    Resources,
    check_path,
    gpus_of,
    job_name,
    minutes_of,
    sbatch_options,
)
from megakor.launch.snapshot import Snapshot, next_snapshot, take_snapshot
from megakor.launch.submission import Submission
from megakor.launch.verbs import LOCAL, MPI, SLURM, TORCHRUN


def launch(options: argparse.Namespace) -> int:
    """Check, copy, submit or run; returns the exit code. A dry run prints what would be submitted or run."""
    config, warnings = valid_config(
        options.config, options.overrides, world_size=options.nproc, check_data_files=not options.dry_run
    )
    run = Path(config.run.dir).absolute()
    check_path(run, slurm=options.executor == SLURM)
    resources = _resources(options, config)
    snapshot = next_snapshot(run)
    if options.dry_run:
        print(_dry_run(options.executor, snapshot, resources))
        return ExitCode.DONE
    if warnings:
        print(render(warnings))
    take_snapshot(snapshot, config)
    if options.executor in (MPI, TORCHRUN):
        return run_to_the_end(_command(options.executor, snapshot, resources), run)
    return _submit(options.executor, run, snapshot, resources)


def _resources(options: argparse.Namespace, config: Config) -> Resources:
    nodes, per_node = config.cluster.nodes, config.cluster.devices_per_node
    if options.nproc is not None:
        if options.executor == SLURM:
            raise ConfigError("--nproc is for one machine; under Slurm set cluster.nodes and cluster.devices_per_node.")
        nodes, per_node = 1, options.nproc
    if nodes > 1 and options.executor != SLURM:
        raise ConfigError(
            f"cluster.nodes is {nodes}, and --executor {options.executor} starts ranks on this machine. Use --executor "
            "slurm, or say with --nproc N how many ranks to start here."
        )
    default = DEFAULT_SLURM_MINUTES if options.executor == SLURM else DEFAULT_LOCAL_MINUTES
    if options.setup is not None and not options.setup.is_file():
        raise ConfigError(f"--setup {options.setup}: there is no such file.")
    return Resources(
        name=job_name(options.name or Path(config.run.dir).name),
        nodes=nodes,
        ranks_per_node=per_node,
        gpus_per_node=gpus_of(config, per_node),
        minutes=minutes_of(options.time) if options.time else default,
        cores_per_rank=options.cpus_per_task,
        options=sbatch_options(options.sbatch),
        setup=options.setup,
    )


def _command(executor: str, snapshot: Snapshot, resources: Resources) -> list[str]:
    command = mpirun_command if executor == MPI else torchrun_command
    return command(resources.ranks, snapshot.command())


def _dry_run(executor: str, snapshot: Snapshot, resources: Resources) -> str:
    if executor == SLURM:
        from megakor.launch.submit import slurm_script

        return slurm_script(snapshot, resources)
    command = snapshot.command() if executor == LOCAL else _command(executor, snapshot, resources)
    times = f"{resources.ranks} times, in the background: " if executor == LOCAL else ""
    return f"{times}{shlex.join(command)}"


def _submit(executor: str, run: Path, snapshot: Snapshot, resources: Resources) -> int:
    from megakor.launch.submit import log_of, submit_locally, submit_to_slurm

    submit = submit_to_slurm if executor == SLURM else submit_locally
    job = submit(snapshot, resources)
    submission = Submission.now(executor, job, log_of(snapshot, job))
    submission.write(run)
    what = f"Slurm job {job}" if executor == SLURM else f"{resources.ranks} ranks in the background"
    name = shlex.quote(str(run))
    print(f"{what}; log {submission.log}\nmegakor status {name}\nmegakor stop {name}")
    return ExitCode.DONE
