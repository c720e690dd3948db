# Sourced by the batch scripts: where they run, in which environment, and how they go on. There is nothing to adapt here.
# Their variables: CONTAINER, MOUNTS (see --help of the scripts).

say() { printf '[%(%F %T)T] %s\n' -1 "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 2
}

# Slurm runs a copy of the script; paths are meant from where sbatch was called.
cd "${SLURM_SUBMIT_DIR:-$PWD}"
[[ -f slurm/shared.sh ]] || die "$PWD is not the root of the repository. Go there, then submit again."

# environment: sets IN_STEP, what goes between srun and a command, and ON_NODE, what goes before a command on this node.
environment() {
    IN_STEP=() ON_NODE=()
    case ${CONTAINER:-} in
        "") # the environment that was active when sbatch was called, else that of tools/quickstart.sh
            [[ "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ]] && return
            [[ -f .venv/bin/activate ]] || die "$PWD/.venv is missing. Activate your Python environment, then submit again."
            # shellcheck disable=SC1091
            source .venv/bin/activate
            ;;
        *.sif)
            IN_STEP=(apptainer exec --nv --bind "$PWD${MOUNTS:+,$MOUNTS}" --pwd "$PWD" "$CONTAINER")
            ON_NODE=("${IN_STEP[@]}")
            ;;
        *)
            local mounts=$PWD:$PWD${MOUNTS:+,$MOUNTS}
            IN_STEP=("--container-image=$CONTAINER" "--container-mounts=$mounts" "--container-workdir=$PWD")
            ON_NODE=(srun --nodes=1 --ntasks=1 --overlap "${IN_STEP[@]}")
            ;;
    esac
}

# front_door WORD...: outside of a job there is --help, and --check WORD... for the function `check` of the script.
front_door() {
    case ${1:-} in -h | --help) usage && exit ;; esac
    environment
    if [[ ${1:-} == --check ]] && declare -F check >/dev/null; then
        shift
        check "$@"
        exit
    fi
    [[ ${SLURM_JOB_ID:-} ]] || die "this is a batch script: sbatch $0 (bash $0 --help explains it)."
}

# What is started uses the cores that Slurm gave it, no more.
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}

# What Slurm sends before it preempts is for the ranks; this script waits for them.
trap : TERM

# here COMMAND...: run it on this node, in the container if there is one.
here() { "${ON_NODE[@]}" "$@"; }

# know_the_end: when Slurm will end the job, for the ranks (seconds since 1970). Older versions do not say it themselves.
know_the_end() {
    local end
    [[ ! ${SLURM_JOB_END_TIME:-} ]] || return 0
    end=$(squeue --noheader --job="$SLURM_JOB_ID" --format=%e 2>/dev/null) && end=$(date --date="$end" +%s 2>/dev/null) || return 0
    export SLURM_JOB_END_TIME=$end
}

# everywhere COMMAND...: run it as one task for each rank, and wait for all. When a rank ends, the others have two
# minutes to end, too (srun reads SLURM_WAIT): to save, or to say what they miss. A rank that is killed does not take
# their last words from them.
everywhere() {
    export SLURM_WAIT=${SLURM_WAIT:-120}
    srun --kill-on-bad-exit=0 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" "${IN_STEP[@]}" "$@"
}

# until_limit SIGNAL COMMAND...: run it here; when Slurm says that the time is nearly up, pass on SIGNAL. The exit code
# is then 75: to be started again.
until_limit() {
    local signal=$1 code=0 limit=""
    shift
    trap 'limit=yes; kill -s "$signal" $! 2>/dev/null' USR1
    trap 'kill -s TERM $! 2>/dev/null' TERM
    "${ON_NODE[@]}" "$@" &
    wait $! || code=$?
    while kill -0 $! 2>/dev/null; do # a signal ends `wait` before its process
        code=0
        wait $! || code=$?
    done
    trap - USR1
    trap : TERM
    [[ ! $limit ]] || code=75
    return "$code"
}

# conclude CODE: end the job, or start it again. 75 is the one code that asks for it (docs/exit-codes.md).
conclude() {
    local code=$1 job
    if [[ ${SLURM_ARRAY_TASK_MAX:-} && ${CHAIN:-} ]]; then
        conclude_link "$code"
    elif job=$(scontrol --oneliner show job "$SLURM_JOB_ID") && [[ $job != *" JobState=RUNNING "* ]]; then
        say "Slurm is ending this job." # cancelled, or already on its way back into the queue
    elif ((code == 75)) || [[ $job =~ \ PreemptTime=[0-9] ]]; then
        say "back into the queue"
        if scontrol requeue "$SLURM_JOB_ID"; then
            trap - TERM
            sleep 600 # until Slurm ends this script
            exit "$code"
        fi
        say "This cluster does not requeue jobs. Submit the same command again, or as a chain: see --help."
    fi
    say "exit code $code"
    exit "$code"
}

# conclude_link CODE: the same for one task of an array that goes on one after another, where requeueing is forbidden.
conclude_link() {
    if (($1 == 75)) && ((SLURM_ARRAY_TASK_ID < SLURM_ARRAY_TASK_MAX)); then
        say "the next task of the array goes on"
        exit 0
    fi
    scancel --state=PENDING "$SLURM_ARRAY_JOB_ID" # done, or nothing that another start would mend
}
