# SPDX-License-Identifier: Apache-2.0
#
# Sourced by tests/run and examples/align_tiny_lm/run: need PACKAGE... installs the Debian packages
# that are missing. Elsewhere it names them and goes on with what there is.

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
    sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    echo "prefopt: installing$missing"
    $sudo apt-get update -qq
    # shellcheck disable=SC2086 # words on purpose
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        $missing >/dev/null
}
