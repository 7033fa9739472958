// SPDX-License-Identifier: Apache-2.0
//
// The host: C++17, and none the wiser.

static_assert(__cplusplus == 201703L,
              "the host was compiled as C++17 before it linked the library");

void first_result();

int main() { first_result(); }
