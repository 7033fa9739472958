#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# conan.sh setup | create | consume | refuse | center: one walk with the real Conan. TREE, HERE and
# ARCHIVE are the sources, a folder for what is made, and an archive of the sources; CXX compiles.

set -eu
export CONAN_HOME="$HERE/conan"
conan() { "$HERE/venv/bin/conan" "$@"; }
# Nothing of a build is to lie in the sources.
aside="-c tools.cmake.cmake_layout:build_folder=$HERE/conan.$1
       -c tools.cmake.cmake_layout:test_folder=$HERE/conan.$1
       -c tools.cmake.cmaketoolchain:user_presets="
rm -rf "$HERE/conan.$1"

case $1 in
    setup)
        rm -rf "$CONAN_HOME"
        [ -x "$HERE/venv/bin/conan" ] || {
            python3 -m venv "$HERE/venv"
            "$HERE/venv/bin/pip" install --quiet --disable-pip-version-check conan==2.34.0
        }
        conan profile detect
        conan remote disable '*'  # nothing is required, so nothing is fetched
        ;;
    create) # shellcheck disable=SC2086 # options on purpose
        conan create "$TREE" -s compiler.cppstd=20 -s build_type=Debug $aside
        # One package for every setting: another build type finds the one that is there.
        conan install --requires='prefopt/[*]' -s compiler.cppstd=20 --build=never
        ;;
    consume) # a project of its own, with the generators that its conanfile.txt names
        # shellcheck disable=SC2086 # options on purpose
        conan install "$TREE/tests/consumer/managed" -s compiler.cppstd=20 $aside
        cmake -S "$TREE/tests/consumer/managed" -B "$HERE/conan.consume/consumer" -G Ninja \
            -DCMAKE_TOOLCHAIN_FILE="$(find "$HERE/conan.consume" -name conan_toolchain.cmake)" \
            -DCMAKE_BUILD_TYPE=Release
        cmake --build "$HERE/conan.consume/consumer"
        cmake -DPROGRAM="$HERE/conan.consume/consumer/consumer" -P "$TREE/tests/consumer/run.cmake"
        ;;
    refuse)
        said=$HERE/conan.refuse
        if conan install --requires='prefopt/[*]' -s compiler.cppstd=17 >"$said" 2>&1; then
            echo "C++17 was accepted"
            exit 1
        fi
        grep 'Current cppstd (17) is lower than the required C++ standard (20)' "$said"
        ;;
    center) # the recipe in ConanCenter's form, filled in with this archive, in a cache of its own
        export CONAN_HOME="$HERE/conan.center/home"
        recipe=$HERE/conan.center/recipes/prefopt
        cmake -DARCHIVE="$ARCHIVE" -DADDRESS="file://$ARCHIVE" \
            -DHOMEPAGE=https://example.org/prefopt -DTO="$recipe" \
            -P "$TREE/cmake/packaging/conan-center/fill.cmake"
        conan profile detect
        conan remote disable '*'
        mkdir -p "$CONAN_HOME/extensions/hooks"
        cp "$TREE/tests/packages/hook_conan_center_rules.py" "$CONAN_HOME/extensions/hooks/"
        version=$(sed -n 's/^ *"\(.*\)":$/\1/p' "$recipe/config.yml")
        # shellcheck disable=SC2086 # options on purpose
        conan create "$recipe/all" --version "$version" \
            -s compiler.cppstd=20 -s build_type=Debug $aside
        ;;
esac
