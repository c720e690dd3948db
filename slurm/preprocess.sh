#!/usr/bin/env bash
# Text to shards on the CPUs of a cluster, as an array of tasks. From the root of the repository:
#
#     sbatch --array=0-15 slurm/preprocess.sh --input 'data/ko/*.jsonl.zst' --tokenizer-model tok \
#         --output-prefix shards/ko --lang ko --append-eod
#
# The arguments are those of tools/preprocess_data.py, which --help explains. Every task of the array takes a share of
# the work and uses its cores; the one that ends last puts the shard together. The shard is the same bytes for any
# number of tasks. Each task writes its own log. If some fail, are killed or run out of time, the same sbatch command
# again goes on from what is done. Adapt the partition, the cores, the memory and the time.
#SBATCH --job-name=preprocess
#SBATCH --array=0-3
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=16
#SBATCH --mem-per-cpu=2G
#SBATCH --time=1-00:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A_%a.log
set -euo pipefail
source "$SLURM_SUBMIT_DIR/slurm/environment.sh"

# The tasks of this array are one build. A --workers among the arguments comes later, and counts.
export MEGAKOR_TEAM=slurm-array
exec python tools/preprocess_data.py --workers "$SLURM_CPUS_PER_TASK" "$@"
