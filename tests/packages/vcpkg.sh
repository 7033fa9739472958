#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# vcpkg.sh program: the example in manifest mode with the real vcpkg, from an archive of the tree.
# Where there is none (VCPKG_ROOT, or on the PATH), says so and ends with 77: skipped.

set -eu
vcpkg=${VCPKG_ROOT:+$VCPKG_ROOT/vcpkg}
vcpkg=${vcpkg:-$(command -v vcpkg || true)}
[ -x "$vcpkg" ] || {
    echo "NOT RUN: no vcpkg here. What it would do beyond the stand-ins: cmake/packaging/README.md"
    exit 77
}
work=$HERE/vcpkg.$1
rm -rf "$work"
mkdir -p "$work/tests/consumer" "$work/cmake/packaging"
cp -r "$TREE/tests/consumer/managed" "$work/tests/consumer"  # its overlay is a relative path
cp -r "$TREE/cmake/packaging/vcpkg" "$work/cmake/packaging"
cp "$ARCHIVE" "$work/cmake/packaging/vcpkg/prefopt/prefopt.tar.gz"
cd "$work/tests/consumer/managed"
"$vcpkg" install --x-install-root="$work/installed"
cmake -S "$TREE/tests/consumer/managed" -B "$work/build" -G Ninja \
    -DCMAKE_PREFIX_PATH="$(echo "$work"/installed/*-linux)"
cmake --build "$work/build"
cmake -DPROGRAM="$work/build/consumer" -P "$TREE/tests/consumer/run.cmake"
