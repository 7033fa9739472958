# SPDX-License-Identifier: Apache-2.0
#
# prefopt_cblas: whatever CBLAS this machine has, for the tests and benchmarks of linear_log_probs.
# The target exists only where one was found; no consumer needs it.

include(CheckCXXSourceCompiles)
find_path(PREFOPT_CBLAS_INCLUDE_DIR cblas.h PATH_SUFFIXES openblas)
find_library(PREFOPT_CBLAS_LIBRARY NAMES openblas cblas blas)
mark_as_advanced(PREFOPT_CBLAS_INCLUDE_DIR PREFOPT_CBLAS_LIBRARY)
if(PREFOPT_CBLAS_INCLUDE_DIR AND PREFOPT_CBLAS_LIBRARY)
    set(CMAKE_REQUIRED_INCLUDES "${PREFOPT_CBLAS_INCLUDE_DIR}")
    set(CMAKE_REQUIRED_LIBRARIES "${PREFOPT_CBLAS_LIBRARY}")
    check_cxx_source_compiles(
        "#include <cblas.h>
         int main() { return cblas_ddot(0, nullptr, 1, nullptr, 1) > 0; }" PREFOPT_CBLAS_WORKS)
    unset(CMAKE_REQUIRED_INCLUDES)
    unset(CMAKE_REQUIRED_LIBRARIES)
endif()
if(PREFOPT_CBLAS_WORKS AND NOT TARGET prefopt_cblas)
    add_library(prefopt_cblas INTERFACE)
    target_include_directories(prefopt_cblas SYSTEM INTERFACE "${PREFOPT_CBLAS_INCLUDE_DIR}")
    target_link_libraries(prefopt_cblas INTERFACE "${PREFOPT_CBLAS_LIBRARY}")
endif()
