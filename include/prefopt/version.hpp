// SPDX-License-Identifier: Apache-2.0
//
// The version of the library, in one place: CMake, the packages and the mangled names all read it
// from here.

#pragma once

#define PREFOPT_VERSION_MAJOR 0
#define PREFOPT_VERSION_MINOR 1
#define PREFOPT_VERSION_PATCH 0
