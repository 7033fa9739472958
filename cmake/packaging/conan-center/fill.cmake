# SPDX-License-Identifier: Apache-2.0
#
# Writes the recipe as ConanCenter takes it, recipes/prefopt, for a released archive. It is made
# from the archive, since no archive can hold its own digest.
#
#     cmake -DARCHIVE=prefopt-0.1.0.tar.gz -DADDRESS=https://... -DHOMEPAGE=https://... \
#           -DTO=conan-center-index/recipes/prefopt -P cmake/packaging/conan-center/fill.cmake

cmake_minimum_required(VERSION 3.19)
foreach(argument ARCHIVE ADDRESS HOMEPAGE TO)
    if(NOT ${argument})
        message(FATAL_ERROR "fill.cmake needs -D${argument}=...")
    endif()
endforeach()
get_filename_component(tree "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

file(STRINGS "${tree}/include/prefopt/version.hpp" lines
     REGEX "#define PREFOPT_VERSION_(MAJOR|MINOR|PATCH) [0-9]+")
string(REGEX MATCHALL "[0-9]+" numbers "${lines}")
list(JOIN numbers "." VERSION)
file(SHA256 "${ARCHIVE}" SHA256)

foreach(file config.yml all/conandata.yml all/conanfile.py)
    configure_file("${CMAKE_CURRENT_LIST_DIR}/${file}" "${TO}/${file}" @ONLY)
endforeach()
file(COPY "${tree}/test_package" DESTINATION "${TO}/all" PATTERN build EXCLUDE
     PATTERN CMakeUserPresets.json EXCLUDE)
