# SPDX-License-Identifier: Apache-2.0
#
# `cmake --install` and find_package(prefopt). Nothing here depends on the architecture, and the
# package has no dependency to look for.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(prefopt_config_dir "${CMAKE_INSTALL_DATADIR}/cmake/prefopt")

install(TARGETS prefopt EXPORT prefopt-targets
        FILE_SET core DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILE_SET kernels DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILE_SET adapters DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT prefopt-targets NAMESPACE prefopt:: DESTINATION "${prefopt_config_dir}")

configure_package_config_file(
    "${PROJECT_SOURCE_DIR}/cmake/prefopt-config.cmake.in"
    "${PROJECT_BINARY_DIR}/prefopt-config.cmake"
    INSTALL_DESTINATION "${prefopt_config_dir}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/prefopt-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/prefopt-config.cmake"
              "${PROJECT_BINARY_DIR}/prefopt-config-version.cmake"
        DESTINATION "${prefopt_config_dir}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/prefopt")
