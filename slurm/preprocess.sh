#!/usr/bin/env bash
# Text to shards on the CPUs of a cluster, as an array of tasks. Start with: bash slurm/preprocess.sh --help

# -- Adapt this to your cluster; sbatch options on the command line win over it. -----------------------------------------
#SBATCH --job-name=preprocess
#SBATCH --array=0-3
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=16
#SBATCH --mem-per-cpu=2G
#SBATCH --time=1-00:00:00
##SBATCH --partition=PARTITION
##SBATCH --account=ACCOUNT

# -- How it goes on: leave this as it is. ----------------------------------------------------------------------------------
# A minute before the limit this script is told; it ends the build, which keeps what is done, and requeues the task.
#SBATCH --signal=B:USR1@60
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A_%a.log

set -euo pipefail

usage() {
    cat <<'END'
Text to shards on the CPUs of a Slurm cluster. From the root of the repository:

    sbatch --array=0-15 slurm/preprocess.sh --input 'data/ko/*.jsonl.zst' --tokenizer-model tok \
        --output-prefix shards/ko --lang ko --append-eod

The arguments are those of tools/preprocess_data.py (python tools/preprocess_data.py --help). Every task of the array
takes a share of the work and uses its cores; the one that ends last puts the shard together. The shard is the same
bytes for any number of tasks. Each task writes its own log, preprocess-JOB_TASK.log. A task whose time runs out is
requeued and goes on; if some fail, are cancelled or killed, the same sbatch command again goes on from what is done.

An array must be a range without gaps. Set partition, cores, memory and time at the top of the script, or as options
of sbatch.

Variables, set before sbatch:
    CONTAINER=IMAGE  run in IMAGE: a .sif file with apptainer, anything else with pyxis (srun --container-image)
    MOUNTS=A:B,...   what the container sees beside the repository: your text, if it is elsewhere
END
}

# shellcheck source=slurm/shared.sh
source "${SLURM_SUBMIT_DIR:-$PWD}/slurm/shared.sh"
front_door "$@"

# The tasks of this array are one build. A --workers among the arguments comes later, and counts.
export MEGAKOR_TEAM=slurm-array
code=0
until_limit TERM python tools/preprocess_data.py --workers "$SLURM_CPUS_PER_TASK" "$@" || code=$?
conclude "$code"
