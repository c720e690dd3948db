#!/usr/bin/env bash
# Runs over mixture ratios, as an array of tasks with a node each. Start with: bash slurm/cmr_sweep.sh --help

# -- Adapt this to your cluster; sbatch options on the command line win over it. -----------------------------------------
#SBATCH --job-name=cmr_sweep
#SBATCH --array=0-5
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=1-00:00:00
##SBATCH --partition=PARTITION
##SBATCH --account=ACCOUNT

# -- How it goes on: leave this as it is. ----------------------------------------------------------------------------------
# Ten minutes before the limit this script is told; its run saves, and the task is requeued.
#SBATCH --signal=B:USR1@600
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A_%a.log

set -euo pipefail

usage() {
    cat <<'END'
Short runs over the domain's share of a mixture, for megakor cmr fit. From the root of the repository:

    bash slurm/cmr_sweep.sh --check CONFIG --base RUN --tokens 2B --output runs/sweep    the plan, on the login node
    sbatch slurm/cmr_sweep.sh CONFIG --base RUN --tokens 2B --output runs/sweep
    megakor cmr fit runs/sweep                                                           when all tasks have ended

The arguments are those of megakor cmr sweep (megakor cmr sweep --help). Every task of the array takes a share of the
runs, one after another, each on its whole node: cluster.devices_per_node of CONFIG says how many ranks a run has there.
A task whose time runs out saves and is requeued; the same sbatch command again goes on from what is done.

An array must be a range from 0 without gaps; more tasks than runs have nothing to do. Each task has a log,
cmr_sweep-JOB_TASK.log. Set partition, GPUs, cores and time at the top of the script, or as options of sbatch.

Variables, set before sbatch:
    CONTAINER=IMAGE  run in IMAGE: a .sif file with apptainer, anything else with pyxis (srun --container-image)
    MOUNTS=A:B,...   what the container sees beside the repository: your data and --output, if they are elsewhere
END
}

check() { here python -m megakor cmr sweep "$@" --dry-run; }

# shellcheck source=slurm/shared.sh
source "${SLURM_SUBMIT_DIR:-$PWD}/slurm/shared.sh"
front_door "$@"
# shellcheck source=slurm/hopper.sh
source slurm/hopper.sh
unset OMP_NUM_THREADS # the ranks of a run divide the cores of the task among them

code=0
until_limit USR1 python -m megakor cmr sweep "$@" --share "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" || code=$?
conclude "$code"
