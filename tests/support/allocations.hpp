// SPDX-License-Identifier: Apache-2.0
//
// Counts what a program allocates. For one unit of a program, as its last include: it replaces
// malloc and its kin, which compilers' own headers declare each in their way.

#pragma once

#include <cstddef>
#include <cstdlib>

// glibc's allocator under its own names; operator new calls malloc, so that this counts all.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
}
namespace test {
inline std::size_t allocations = 0;
}
extern "C" {
void* malloc(std::size_t n) {
    ++test::allocations;
    return __libc_malloc(n);
}
void* calloc(std::size_t n, std::size_t size) {
    ++test::allocations;
    return __libc_calloc(n, size);
}
void* realloc(void* p, std::size_t n) {
    ++test::allocations;
    return __libc_realloc(p, n);
}
void* aligned_alloc(std::size_t alignment, std::size_t n) {
    ++test::allocations;
    return __libc_memalign(alignment, n);
}
int posix_memalign(void** p, std::size_t alignment, std::size_t n) {
    ++test::allocations;
    *p = __libc_memalign(alignment, n);
    return *p == nullptr ? 12 : 0;
}
}

namespace test {

template <class F>
std::size_t allocated_by(const F& f) {
    const std::size_t before = allocations;
    f();
    return allocations - before;
}

}  // namespace test
