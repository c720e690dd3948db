# Sourced by the batch scripts: the root of the repository, and the Python environment with the project in it.

# Slurm runs a copy of a script; paths are meant from where sbatch was called.
cd "$SLURM_SUBMIT_DIR"

# The environment that was active when sbatch was called, else that of tools/quickstart.sh.
if [[ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ]]; then
    if [[ ! -f .venv/bin/activate ]]; then
        echo "error: $PWD/.venv is missing. Activate your Python environment, then call sbatch again." >&2
        exit 2
    fi
    # shellcheck disable=SC1091
    source .venv/bin/activate
fi

# What is started uses the cores that Slurm gave it, no more.
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
