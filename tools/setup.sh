#!/usr/bin/env bash
# Sets up the virtual environment that the Makefile's targets run in. Asks nothing; quick when
# nothing has changed; an interrupted run is made good by running it again.
#
#   VENV=.venv            where the environment goes
#   PYTHON=python3        the interpreter it is made from
#   TORCH=, TORCHVISION=  versions instead of the pinned ones; both or neither; kept for later runs
#   RESNEXT_DET_DETECTRON2=auto | skip | /path/to/a/checkout     kept for later runs, too
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENV="${VENV:-.venv}"
PYTHON="${PYTHON:-python3}"
NEEDED_GB=12            # measured: about 7 GB installed, and 3 GB of downloads on the way
PROBE_SECONDS=20        # for an answer from Detectron2's repository
BUILD_SECONDS=2400      # for its compilation, about 8 minutes on two cores
EXTRAS="dev,quickstart,timm,pointrend,export"
pins="$VENV/constraints.txt"
started="$VENV/.setup-started"
packages_stamp="$VENV/.setup-packages"
detectron2_stamp="$VENV/.setup-detectron2"

say() { echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 1; }
in_venv() { "$VENV/bin/python" "$@"; }
pip_install() { in_venv -m pip install --disable-pip-version-check -c "$pins" "$@"; }
bounded() { if command -v timeout >/dev/null; then timeout "$@"; else shift && "$@"; fi; }

# A choice made on an earlier run holds until another is made. $1: its name, $2: the value now.
remembered() {
    if [ -n "$2" ]; then echo "$2"; else cat "$VENV/.setup-$1" 2>/dev/null || true; fi
}

check_machine() {
    command -v "$PYTHON" >/dev/null || fail "$PYTHON is not there: install Python 3.11 or newer."
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$PYTHON" --version 2>&1) is too old: Python 3.11 or newer is needed (PYTHON=… names one)."
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "this Python lacks the venv module (on Debian: apt-get install python3-venv)."
    local free_gb
    mkdir -p "$(dirname "$VENV")"
    free_gb=$(($(df -Pk "$(dirname "$VENV")" | awk 'NR == 2 {print $4}') / 1048576))
    [ "$free_gb" -ge "$NEEDED_GB" ] ||
        fail "$free_gb GB are free beside $VENV, about $NEEDED_GB GB are needed."
}

make_venv() {
    if [ -e "$VENV" ] && [ ! -f "$VENV/pyvenv.cfg" ] && [ -n "$(ls -A "$VENV")" ]; then
        fail "$VENV exists and is not a virtual environment: move it away, or name another (VENV=…)."
    fi
    if [ -f "$started" ] || ! in_venv -m pip --version >/dev/null 2>&1; then
        check_machine
        say "making $VENV"
        "$PYTHON" -m venv --clear "$VENV"
    fi
    touch "$started"
}

# The constraints of this environment: the pinned ones, or with another torch in their place.
write_pins() {
    if [ -z "$TORCH" ]; then
        cp constraints.txt "$pins"
    else
        sed -e "s/^torch==.*/torch==$TORCH/" -e "s/^torchvision==.*/torchvision==$TORCHVISION/" \
            -e '/^setuptools==/d' constraints.txt >"$pins"
    fi
}

install_packages() {
    local quiet=(--quiet --quiet)
    if [ -t 1 ]; then quiet=(); fi
    say "installing torch $(sed -n 's/^torch==//p' "$pins") and the rest (1 to 5 minutes, about 3 GB to fetch)"
    pip_install "${quiet[@]}" --upgrade pip setuptools wheel hatchling editables ninja
    # Without isolation the pinned build tools are used, not whatever is newest today.
    pip_install "${quiet[@]}" --no-build-isolation -e ".[$EXTRAS]" torch torchvision
    in_venv -c 'import torch, torchvision; torchvision.ops.nms(torch.rand(2, 4), torch.rand(2), 0.5)' ||
        fail "torch and torchvision do not fit together: is one a CPU build from another source? 'make clean-venv', then again."
}

without_detectron2() {
    say "no Detectron2 ($1): detection runs on the portable engine."
}

# Prints why Detectron2 cannot be had from its repository; nothing when it can be tried.
detectron2_obstacle() {
    local url="$1" header
    header=$(in_venv -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h
    if ! command -v git >/dev/null; then echo "git is not installed"
    elif ! command -v c++ >/dev/null && ! command -v g++ >/dev/null; then echo "no C++ compiler"
    elif [ ! -f "$header" ]; then echo "Python's header files are not installed"
    elif ! bounded "$PROBE_SECONDS" git ls-remote --exit-code "$url" HEAD >/dev/null 2>&1 </dev/null
    then echo "its repository cannot be reached"
    fi
}

# No cache: pip would keep the compiled package and give it to another torch later.
build_detectron2() {
    say "compiling Detectron2 (about 8 minutes on two cores), output in $VENV/detectron2.log"
    bounded "$BUILD_SECONDS" "$VENV/bin/python" -m pip install --disable-pip-version-check \
        --no-cache-dir --no-build-isolation -c "$pins" "$@" </dev/null >"$VENV/detectron2.log" 2>&1 &&
        in_venv -c 'import detectron2._C' >>"$VENV/detectron2.log" 2>&1
}

try_detectron2() {
    local url obstacle
    url=$(sed -n 's/^detectron2 @ git+\(.*\)@.*/\1/p' requirements-detectron2.txt)
    obstacle=$(detectron2_obstacle "$url")
    if [ -n "$obstacle" ]; then
        without_detectron2 "$obstacle"
    elif ! build_detectron2 -r requirements-detectron2.txt; then
        in_venv -m pip uninstall --quiet --yes detectron2 2>/dev/null || true
        without_detectron2 "it did not compile, see $VENV/detectron2.log"
    fi
}

# Builds from a copy, so that the checkout stays clean and no object file of another torch is used.
install_checkout() {
    [ -f "$DETECTRON2/setup.py" ] ||
        fail "RESNEXT_DET_DETECTRON2=$DETECTRON2 is no checkout of Detectron2: give its folder, 'auto' or 'skip'."
    rm -rf "$VENV/detectron2-source" && mkdir "$VENV/detectron2-source"
    tar -C "$DETECTRON2" --exclude=./build --exclude=./.git --exclude='*.so' -cf - . | tar -C "$VENV/detectron2-source" -xf -
    build_detectron2 "$VENV/detectron2-source" ||
        fail "the Detectron2 in $DETECTRON2 did not install, see $VENV/detectron2.log"
    rm -rf "$VENV/detectron2-source"
}

install_detectron2() {
    in_venv -m pip uninstall --quiet --yes detectron2 2>/dev/null || true
    case "$DETECTRON2" in
        skip) without_detectron2 "left out, as RESNEXT_DET_DETECTRON2=skip says" ;;
        auto) try_detectron2 ;;
        *) install_checkout ;;
    esac
}

main() {
    local packages_key detectron2_key
    packages_key=$(printf '%s\n' "$TORCH $TORCHVISION" | cat - pyproject.toml constraints.txt tools/setup.sh | cksum)
    if [ "$(cat "$packages_stamp" 2>/dev/null)" != "$packages_key" ]; then
        make_venv
        rm -f "$packages_stamp"
        write_pins
        install_packages
        printf '%s' "$TORCH" >"$VENV/.setup-torch"
        printf '%s' "$TORCHVISION" >"$VENV/.setup-torchvision"
        echo "$packages_key" >"$packages_stamp"
        rm -f "$started"
    fi
    detectron2_key=$(grep -h -e ^torch== -e ^detectron2 "$pins" requirements-detectron2.txt; echo "$DETECTRON2")
    if [ "$(cat "$detectron2_stamp" 2>/dev/null)" != "$detectron2_key" ]; then
        rm -f "$detectron2_stamp"
        install_detectron2
        printf '%s' "$DETECTRON2" >"$VENV/.setup-detectron2-choice"
        echo "$detectron2_key" >"$detectron2_stamp"
        say "$VENV is ready"
    fi
}

# Two targets at once set up one after the other.
if command -v flock >/dev/null; then exec 9<tools/setup.sh && flock 9; fi
export GIT_TERMINAL_PROMPT=0 PIP_NO_INPUT=1
TORCH=$(remembered torch "${TORCH:-}")
TORCHVISION=$(remembered torchvision "${TORCHVISION:-}")
DETECTRON2=$(remembered detectron2-choice "${RESNEXT_DET_DETECTRON2:-}")
DETECTRON2=${DETECTRON2:-auto}
[ "${TORCH:+given}" = "${TORCHVISION:+given}" ] ||
    fail "TORCH and TORCHVISION go together, for example TORCH=2.11.0 TORCHVISION=0.26.0."
main
