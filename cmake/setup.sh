# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# Sourced by tests/run and examples/align_tiny_lm/run: need PACKAGE... installs the Debian packages
# that are missing. Elsewhere it names them and goes on with what there is.

as_root() {
    [ "$(id -u)" -eq 0 ] || echo sudo
}

need() {
    missing=
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "prefopt: no apt-get here; what is called$missing on Debian must be installed" >&2
        return 0
    fi
    echo "prefopt: installing$missing"
    $(as_root) apt-get update -qq
    # shellcheck disable=SC2086 # words on purpose
    $(as_root) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        $missing >/dev/null
}

# newest_of NAME prints the greatest N for which there is a package NAME-N.
newest_of() {
    $(as_root) apt-get update -qq
    apt-cache pkgnames "$1-" | sed -n "s/^$1-\([0-9]*\)\$/\1/p" | sort -n | tail -n 1
}

# python_tools NAME==VERSION... puts programs from the Python package index into build/tools/bin, in
# an environment of their own; where that cannot be, it says so and fails.
python_tools() {
    need python3-venv
    tools=$(pwd)/build/tools
    { [ -x "$tools/bin/pip" ] || python3 -m venv "$tools"; } &&
        "$tools/bin/pip" install --quiet --disable-pip-version-check "$@" && return 0
    echo "prefopt: $* cannot be installed here, what it checks is not checked" >&2
    return 1
}

# torch_of_pypi: the newest libtorch of the Python package index, into build/venv. Without what the
# wheel wants for graphics processors, but for the two small libraries that its
# libtorch_cpu is linked to.
torch_of_pypi() {
    need python3-venv
    [ -d build/venv ] || python3 -m venv build/venv
    build/venv/bin/pip install --quiet --disable-pip-version-check --no-deps --upgrade torch
    toolkit=$(sed -n 's/^Requires-Dist: cuda-toolkit\[.*\]==\([0-9.]*\).*/\1/p' \
        build/venv/lib/python3*/site-packages/torch-*.dist-info/METADATA)
    [ -z "$toolkit" ] || build/venv/bin/pip install --quiet "cuda-toolkit[cudart,cupti]==$toolkit"
}
