# SPDX-License-Identifier: Apache-2.0
#
# `vcpkg install prefopt` with the overlay port, as far as that goes without vcpkg: the portfile
# runs on an ARCHIVE of the tree, what it packs is checked by the rules that vcpkg checks after a
# build, and goes to HERE/installed/x64-linux. A program is then built by the lines of `usage`.

cmake_minimum_required(VERSION 3.19)
include("${CMAKE_CURRENT_LIST_DIR}/../consumer/run.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/vcpkg_functions.cmake")

file(REMOVE_RECURSE "${HERE}")
set(port_folder "${HERE}/ports/prefopt")
file(COPY "${tree}/cmake/packaging/vcpkg/prefopt" DESTINATION "${HERE}/ports")
file(COPY_FILE "${ARCHIVE}" "${port_folder}/prefopt.tar.gz")

file(READ "${port_folder}/vcpkg.json" manifest)
string(JSON PORT GET "${manifest}" name)
string(JSON VERSION GET "${manifest}" version)
set(TARGET_TRIPLET x64-linux)
set(CURRENT_PACKAGES_DIR "${HERE}/packages/${PORT}_${TARGET_TRIPLET}")
set(CURRENT_BUILDTREES_DIR "${HERE}/buildtrees/${PORT}")
include("${port_folder}/portfile.cmake")

# What is in the package. No lib, debug or lib/cmake, then; no folder is empty; no file names the
# place it was built in.
holds_exactly("${CURRENT_PACKAGES_DIR}"
    share/pkgconfig/prefopt.pc share/prefopt/copyright share/prefopt/usage
    share/prefopt/prefopt-backends.cmake share/prefopt/prefopt-config-version.cmake
    share/prefopt/prefopt-config.cmake share/prefopt/prefopt-targets.cmake)
file(GLOB_RECURSE entries LIST_DIRECTORIES TRUE "${CURRENT_PACKAGES_DIR}/*")
foreach(entry IN LISTS entries)
    if(IS_DIRECTORY "${entry}")
        file(GLOB inside "${entry}/*")
        if(NOT inside)
            message(FATAL_ERROR "an empty folder: ${entry}")
        endif()
    else()
        file(READ "${entry}" text)
        string(FIND "${text}" "${HERE}" at)
        if(NOT at EQUAL -1)
            message(FATAL_ERROR "${entry} names ${HERE}")
        endif()
    endif()
endforeach()
file(READ "${CURRENT_PACKAGES_DIR}/share/prefopt/prefopt-config-version.cmake" text)
if(NOT text MATCHES "PACKAGE_VERSION \"${VERSION}\"")
    message(FATAL_ERROR "vcpkg.json says ${VERSION}, and the package does not")
endif()
message(STATUS "packed: ${PORT} ${VERSION}, by vcpkg's rules")

# The example's manifest asks for what the port has.
set(example "${tree}/tests/consumer/managed")
file(READ "${example}/vcpkg-configuration.json" text)
string(JSON overlay GET "${text}" overlay-ports 0)
file(READ "${example}/vcpkg.json" text)
string(JSON wanted GET "${text}" dependencies 0)
if(NOT EXISTS "${example}/${overlay}/${wanted}/portfile.cmake")
    message(FATAL_ERROR "the example's overlay has no port ${wanted}")
endif()

set(installed "${HERE}/installed/${TARGET_TRIPLET}")
file(MAKE_DIRECTORY "${HERE}/installed")
file(RENAME "${CURRENT_PACKAGES_DIR}" "${installed}")

# A project that is what `usage` says; what stands there after a # needs a feature.
file(STRINGS "${installed}/share/prefopt/usage" lines REGEX "^    ")
list(JOIN lines "\n" lines)
file(WRITE "${HERE}/usage/CMakeLists.txt"
     "cmake_minimum_required(VERSION 3.19)\nproject(main LANGUAGES CXX)\n"
     "add_executable(main \"${tree}/tests/consumer/main.cpp\")\n${lines}\n")
run("configure by usage" "${CMAKE_COMMAND}" -S "${HERE}/usage" -B "${HERE}/usage/build" -G Ninja
    "-DCMAKE_CXX_COMPILER=${COMPILER}" "-DCMAKE_PREFIX_PATH=${installed}")
run("build" "${CMAKE_COMMAND}" --build "${HERE}/usage/build")
prints_readme("${HERE}/usage/build/main")
