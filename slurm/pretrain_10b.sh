#!/usr/bin/env bash
# KORMo-class 10.8B on 8 nodes of 8 H100. From the root of the repository:
#
#     sbatch slurm/pretrain_10b.sh                                   # or with key=value arguments:
#     sbatch slurm/pretrain_10b.sh run.dir=runs/second lr.peak=5e-4
#
# The same command again goes on from the newest checkpoint. Adapt the partition, the time and the environment.
#SBATCH --job-name=pretrain_10b
#SBATCH --nodes=8
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --exclusive
#SBATCH --time=2-00:00:00
#SBATCH --output=%x-%j.log
set -euo pipefail
source "$SLURM_SUBMIT_DIR/slurm/environment.sh"

CONFIG=configs/pretrain_10b.yaml

# What is wrong with settings or data is said now, once, before 64 processes start.
megakor pretrain "$CONFIG" "$@" --dry-run --check-data

# The ranks meet at the first node. The port follows from the job, so that two jobs on a node do not collide.
read -r MASTER_ADDR < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
WORLD_SIZE=$SLURM_NTASKS
LOCAL_WORLD_SIZE=${SLURM_NTASKS_PER_NODE:-$SLURM_NTASKS}
export MASTER_ADDR MASTER_PORT WORLD_SIZE LOCAL_WORLD_SIZE

# One task a GPU. A rank that fails ends the others, which would wait for it.
# shellcheck disable=SC2016  # each task expands these for itself
exec srun --kill-on-bad-exit=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
    bash -c 'RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID exec megakor pretrain "$@"' rank "$CONFIG" "$@"
