#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# plain.sh makefile | copy | header: walks without CMake. MOVED is an installed prefix that was
# moved.

set -eu
work=$HERE/plain.$1
rm -rf "$work"
mkdir -p "$work"
program=$work/consumer

case $1 in
    makefile) # pkg-config
        export PKG_CONFIG_PATH="$MOVED/share/pkgconfig"
        version=$(pkg-config --modversion prefopt)
        pkg-config --atleast-version=0.1 prefopt && [ -z "$(pkg-config --libs prefopt)" ]
        case $(pkg-config --cflags prefopt) in
            -I*" -"*) echo "more than a path of headers"; exit 1 ;;
        esac
        make --no-print-directory -C "$TREE/tests/consumer/makefile" CXX="$CXX" OUT="$work/"
        echo "pkg-config: prefopt $version"
        ;;
    copy) # the headers, into a project's own include/
        cp -r "$TREE/include" "$work"
        "$CXX" -std=c++20 -I "$work/include" "$TREE/tests/consumer/main.cpp" -o "$program"
        ;;
    header) # the one file, beside the program
        python3 "$TREE/cmake/amalgamate.py" --output "$work/prefopt.hpp"
        sed 's|<prefopt/dpo.hpp>|"prefopt.hpp"|' "$TREE/tests/consumer/main.cpp" >"$work/main.cpp"
        "$CXX" -std=c++20 "$work/main.cpp" -o "$program"
        ;;
esac
cmake -DPROGRAM="$program" -P "$TREE/tests/consumer/run.cmake"
