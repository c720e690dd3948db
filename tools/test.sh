#!/usr/bin/env bash
# Lint, type check and tests. Every line of output that begins with $ can be run by hand.
set -euo pipefail

usage() {
    cat <<'END'
bash tools/test.sh              all tests, after ruff and mypy
bash tools/test.sh --quick      the same without the slow tests; about 5 minutes
bash tools/test.sh --core 0.19  parity and resume with another megatron-core, in an environment of its own
                                (.venv-core-0.19). It needs Python 3.12 or newer, for which pip takes a CUDA
                                build of torch: about 5 GB on the disk.
END
}

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
source tools/environment.sh

CORE_TESTS=(tests/distributed tests/e2e/test_resume.py)
QUICK="" CORE=""
while (($#)); do
    case $1 in
        --quick) QUICK=yes ;;
        --core)
            CORE=${2:-}
            [[ $CORE =~ ^[0-9]+\.[0-9]+$ ]] || die "--core needs a version, such as 0.19."
            shift
            ;;
        -h | --help) usage && exit ;;
        *) usage >&2 && die "$1 is not an option of tools/test.sh." ;;
    esac
    shift
done

# Tests start a Slurm cluster of their own on this machine (tests/slurm_cluster.py); without Slurm they are skipped.
install_slurm() {
    local packages=(slurm-wlm munge) output
    if command -v sbatch >/dev/null || ((EUID)) || ! command -v apt-get >/dev/null; then return; fi
    say "\$ apt-get install ${packages[*]}"
    output=$({
        apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
    } 2>&1) || say "Slurm could not be installed: $output"
}

# Ranks of a distributed test share the cores; torch's own threads would only get in their way.
export OMP_NUM_THREADS=1

if [[ $CORE ]]; then
    PYTHON=$(find_python 12 python3.12 python3.13 python3) ||
        die "megatron-core $CORE needs Python 3.12 or newer, and none was found. Install python3.12, then start again."
    make_environment "$ROOT/.venv-core-$CORE" "$PYTHON"
    PYTHON=$ROOT/.venv-core-$CORE/bin/python
    install_project "$ROOT" test "$PYTHON"
    install "$PYTHON" "megatron-core==$CORE.*" triton
    "$PYTHON" -m pip list --disable-pip-version-check 2>/dev/null | grep -E '^(megatron-core|torch|triton) '
    run "$PYTHON" -m pytest "${CORE_TESTS[@]}"
    exit
fi

use_environment "$ROOT" test
[[ $QUICK ]] || install_slurm
run ruff check .
run ruff format --check .
run mypy
if [[ $QUICK ]]; then
    run python -m pytest -m "not slow"
else
    run python -m pytest
fi
