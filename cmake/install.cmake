# SPDX-License-Identifier: Apache-2.0
#
# `cmake --install`, find_package(prefopt) and pkg-config. Nothing here depends on the architecture,
# nothing names the place it was installed to, and the package has no dependency to look for.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(prefopt_config_dir "${CMAKE_INSTALL_DATADIR}/cmake/prefopt")

install(TARGETS prefopt EXPORT prefopt-targets
        FILE_SET core DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILE_SET kernels DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILE_SET adapters DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")  # CMake before 3.23 knows no file sets
install(EXPORT prefopt-targets NAMESPACE prefopt:: DESTINATION "${prefopt_config_dir}")

configure_package_config_file(
    "${PROJECT_SOURCE_DIR}/cmake/prefopt-config.cmake.in"
    "${PROJECT_BINARY_DIR}/prefopt-config.cmake"
    INSTALL_DESTINATION "${prefopt_config_dir}" NO_SET_AND_CHECK_MACRO)
# While the version is 0.x a minor release may break names.
if(PROJECT_VERSION_MAJOR EQUAL 0)
    set(prefopt_compatibility SameMinorVersion)
else()
    set(prefopt_compatibility SameMajorVersion)
endif()
write_basic_package_version_file("${PROJECT_BINARY_DIR}/prefopt-config-version.cmake"
                                 COMPATIBILITY ${prefopt_compatibility} ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/prefopt-config.cmake"
              "${PROJECT_BINARY_DIR}/prefopt-config-version.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/prefopt-backends.cmake"
        DESTINATION "${prefopt_config_dir}")

file(RELATIVE_PATH prefopt_prefix_from_pc
     "${CMAKE_INSTALL_FULL_DATADIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
string(REGEX REPLACE "/$" "" prefopt_prefix_from_pc "${prefopt_prefix_from_pc}")
file(RELATIVE_PATH prefopt_include_from_prefix
     "${CMAKE_INSTALL_PREFIX}" "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
configure_file("${PROJECT_SOURCE_DIR}/cmake/prefopt.pc.in" "${PROJECT_BINARY_DIR}/prefopt.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/prefopt.pc" DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig")

install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/prefopt")
