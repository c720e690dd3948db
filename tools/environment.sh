# Sourced by quickstart.sh and test.sh: a Python environment with the project in it.
# The active environment is used if there is one; else .venv is made in the repository.

# torch publishes a CPU build of this version for Python 3.11; with others pip takes what its index has.
TORCH_VERSION=2.13.0

say() { printf '%s\n' "$*"; }

# run COMMAND ARGUMENT...: say it, then do it.
run() {
    local word line='$'
    for word in "$@"; do
        if [[ $word == *[[:space:]]* ]]; then line+=" \"$word\""; else line+=" $word"; fi
    done
    say "$line"
    "$@"
}

die() {
    printf 'error: %s\n' "$*" >&2
    exit 2
}

# is_python PROGRAM MINOR: PROGRAM runs and is Python 3.MINOR or newer.
is_python() {
    "$1" -c "import sys; sys.exit(sys.version_info < (3, $2))" >/dev/null 2>&1
}

# find_python MINOR NAME...: print the first of the programs NAME that is Python 3.MINOR or newer; pyenv's come last.
find_python() {
    local minor=$1 name
    shift
    for name in "$@"; do
        if is_python "$name" "$minor"; then
            command -v "$name"
            return
        fi
        for name in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"${name#python}".*/bin/python; do
            if is_python "$name" "$minor"; then
                printf '%s\n' "$name"
                return
            fi
        done
    done
    return 1
}

# make_environment DIRECTORY PYTHON: a virtual environment, unless it is there and works.
make_environment() {
    is_python "$1/bin/python" 10 && return
    say "\$ $2 -m venv $1"
    "$2" -m venv "$1" || die "Python cannot make a virtual environment in $1. On Debian and Ubuntu: apt install python3-venv"
}

# use_environment ROOT EXTRA: activate an environment that has the project and its EXTRA ("fast", "test", ...) installed.
use_environment() {
    local root=$1 extra=$2 python
    if [[ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ]]; then
        python=$(find_python 10 python3.11 python3 python3.10 python3.12 python3.13) ||
            die "MegaKor needs Python 3.10 or newer (3.11 is best tested), and none was found. Install one, then start again."
        make_environment "$root/.venv" "$python"
        # shellcheck disable=SC1091
        source "$root/.venv/bin/activate"
    fi
    is_python python 10 || die "The active environment has $(python --version 2>&1); MegaKor needs Python 3.10 or newer."
    install_project "$root" "$extra" python
}

# install_project ROOT EXTRA PYTHON: install what pyproject.toml names, unless nothing has changed since the last time.
install_project() {
    local root=$1 extra=$2 python=$3 stamp
    stamp=$("$python" -c 'import sys; print(sys.prefix)')/megakor-installed
    if [[ -f $stamp ]] && grep -qxF "$(installation "$root" "$extra")" "$stamp"; then
        return
    fi
    say "installing into $(dirname "$stamp") (some minutes the first time)"
    if ! "$python" -c 'import importlib.metadata as m; m.version("torch")' 2>/dev/null; then
        install "$python" "torch==$TORCH_VERSION"
    fi
    install "$python" -e "$root${extra:+[$extra]}"
    # What was installed from this pyproject.toml before is still there.
    grep -qxF "$(installation "$root" "")" "$stamp" 2>/dev/null || installation "$root" "" >"$stamp"
    installation "$root" "$extra" >>"$stamp"
}

# installation ROOT EXTRA: one line that changes whenever pip would have something to do.
installation() {
    printf '%s %s %s\n' "$1" "${2:-base}" "$(cksum <"$1/pyproject.toml")"
}

install() {
    local python=$1
    shift
    say "\$ pip install $*"
    "$python" -m pip install -qq --disable-pip-version-check "$@" ||
        die "pip could not install $*. Its message is above; mend that, then start again."
}
