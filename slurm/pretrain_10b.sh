#!/usr/bin/env bash
# KORMo-class 10.8B on 8 nodes of 8 H100, until its tokens are trained. Start with: bash slurm/pretrain_10b.sh --help

# -- Adapt this to your cluster; sbatch options on the command line win over it. -----------------------------------------
#SBATCH --job-name=pretrain_10b
#SBATCH --nodes=8
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --exclusive
#SBATCH --time=2-00:00:00
##SBATCH --partition=PARTITION
##SBATCH --account=ACCOUNT

# -- How it goes on: leave this as it is. ----------------------------------------------------------------------------------
# Ten minutes before the limit every rank is told; they save and end with code 75, and this script requeues the job. A
# node that fails, or a preemption, requeues it, too. Its log is continued.
#SBATCH --signal=USR1@600
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log

set -euo pipefail
CONFIG=${CONFIG:-configs/pretrain_10b.yaml}

usage() {
    cat <<'END'
Train on a Slurm cluster until the token budget of the config is spent. From the root of the repository:

    bash slurm/pretrain_10b.sh --check [KEY=VALUE ...]    settings and data, in seconds, on the login node
    sbatch slurm/pretrain_10b.sh [KEY=VALUE ...]          for example run.dir=runs/second lr.peak=5e-4
    tail -f pretrain_10b-JOB.log                          the log of the job, with what rank 0 says
    megakor status RUN                                    state, steps, tokens, losses; RUN is run.dir
    megakor stop RUN                                      save, then stop; the same sbatch command goes on

First make a Python environment (bash tools/quickstart.sh makes .venv; one that is active wins), and set partition,
account and time at the top of the script, or as options: sbatch --partition=NAME --nodes=2 slurm/pretrain_10b.sh

Nodes x tasks of a node is the number of ranks, one for each GPU. What does not fit the config is said before they
start. When the time is nearly up, or a rank is lost, the job is requeued, until the tokens are trained: with all that
it has learnt in the first case, from its newest checkpoint in the second. It is given up after three starts in a row
that saved nothing new, and at once for errors that another start cannot mend (docs/exit-codes.md). Ranks beside the
first write to run.dir/logs/rank-N.log. docs/cluster.md has more.

Variables, set before sbatch:
    CONFIG=FILE      another config (default: configs/pretrain_10b.yaml)
    CONTAINER=IMAGE  run in IMAGE: a .sif file with apptainer, anything else with pyxis (srun --container-image)
    MOUNTS=A:B,...   what the container sees beside the repository: your data and run.dir, if they are elsewhere
    CHAIN=1          where requeueing is forbidden: CHAIN=1 sbatch --array=1-10%1 slurm/pretrain_10b.sh ... makes ten
                     jobs, one after another; those that find nothing left to do are cancelled
END
}

# What is wrong with settings or data is said once, before the ranks start.
check() {
    here python -m megakor pretrain "$CONFIG" ${SLURM_NTASKS:+--nproc "$SLURM_NTASKS"} "$@" --dry-run --check-data
}

# shellcheck source=slurm/shared.sh
source "${SLURM_SUBMIT_DIR:-$PWD}/slurm/shared.sh"
front_door "$@"
# shellcheck source=slurm/hopper.sh
source slurm/hopper.sh

say "job $SLURM_JOB_ID, start $((${SLURM_RESTART_COUNT:-0} + 1)), $SLURM_NTASKS ranks on $SLURM_JOB_NODELIST, $CONFIG $*"
check "$@"
know_the_end

# Every rank finds its number, and where to meet, in what srun tells it (megakor/launch/slurm_step.py).
code=0
everywhere python -m megakor pretrain "$CONFIG" "$@" || code=$?

# A killed rank, or one that does not answer, is worth another start if the run gets on; a wrong setting is not.
here python -m megakor.launch.ending "$code" "$CONFIG" "$@" && code=0 || code=$?
conclude "$code"
