# SPDX-License-Identifier: Apache-2.0
#
# AArch64 on another Debian machine: its cross compiler, or any Clang, and qemu to run what it
# makes. `tests/run aarch64` installs both and passes the tests.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
if(NOT CMAKE_CXX_COMPILER)
    set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++-12)
endif()
set(CMAKE_CXX_COMPILER_TARGET aarch64-linux-gnu)  # for Clang
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
