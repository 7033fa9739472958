# SPDX-License-Identifier: Apache-2.0
#
# The port builds an archive that lies beside this file, so that vcpkg sees when it changes.

# Headers only: there is nothing to build in debug.
set(VCPKG_BUILD_TYPE release)

set(archive "${CMAKE_CURRENT_LIST_DIR}/prefopt.tar.gz")
if(NOT EXISTS "${archive}")
    message(FATAL_ERROR "Put the archive of a release there, or of the tree:\n"
                        "  git archive --prefix=prefopt/ -o ${archive} HEAD")
endif()
vcpkg_extract_source_archive(SOURCE_PATH ARCHIVE "${archive}")

vcpkg_cmake_configure(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS
        -DPREFOPT_BUILD_TESTS=OFF
        -DPREFOPT_BUILD_EXAMPLES=OFF
)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH share/cmake/prefopt)
vcpkg_fixup_pkgconfig()

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/doc")  # the licence, which goes elsewhere
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
