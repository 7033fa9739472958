# SPDX-License-Identifier: Apache-2.0
#
# The interface target and its sets of headers: the core, which needs the standard library only
# (executors/ included: threads are the standard's, and without -fopenmp its header is serial); the
# kernels, which the core includes once per instruction set and which do not stand alone; and the
# adapters, which each need their backend and ship always.

add_library(prefopt INTERFACE)
add_library(prefopt::prefopt ALIAS prefopt)
target_compile_features(prefopt INTERFACE cxx_std_20)

file(GLOB_RECURSE prefopt_core_headers CONFIGURE_DEPENDS
     "${PROJECT_SOURCE_DIR}/include/prefopt/*.hpp")
file(GLOB_RECURSE prefopt_kernel_sources CONFIGURE_DEPENDS
     "${PROJECT_SOURCE_DIR}/include/prefopt/*.inc")
set(prefopt_adapter_headers "${prefopt_core_headers}")
list(FILTER prefopt_core_headers EXCLUDE REGEX "/include/prefopt/adapters/")
list(FILTER prefopt_adapter_headers INCLUDE REGEX "/include/prefopt/adapters/")

target_sources(prefopt
    INTERFACE
        FILE_SET core TYPE HEADERS
        BASE_DIRS "${PROJECT_SOURCE_DIR}/include" FILES ${prefopt_core_headers}
        FILE_SET kernels TYPE HEADERS
        BASE_DIRS "${PROJECT_SOURCE_DIR}/include" FILES ${prefopt_kernel_sources}
        FILE_SET adapters TYPE HEADERS
        BASE_DIRS "${PROJECT_SOURCE_DIR}/include" FILES ${prefopt_adapter_headers})
set_target_properties(prefopt PROPERTIES INTERFACE_HEADER_SETS_TO_VERIFY core)

include("${PROJECT_SOURCE_DIR}/cmake/prefopt-backends.cmake")
