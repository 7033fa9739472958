// SPDX-License-Identifier: Apache-2.0
//
// The main function of Catch2's single header.

#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
