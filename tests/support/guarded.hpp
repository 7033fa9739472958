// SPDX-License-Identifier: Apache-2.0
//
// Memory whose neighbours nobody may touch: whole pages between two that fault on any access, and
// large sparse mappings that cost only the pages that are used. A read or write one element too
// far ends the test run, in every build type.

#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <new>

namespace test {

/// At least `bytes` bytes of zeroed memory between two forbidden pages.
class guarded_memory {
public:
    explicit guarded_memory(std::size_t bytes)
        : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))),
          inner_((bytes + page_ - 1) / page_ * page_),
          total_(inner_ + 2 * page_) {
        void* p = mmap(nullptr, total_, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) throw std::bad_alloc();
        base_ = static_cast<std::byte*>(p);
        mprotect(base_, page_, PROT_NONE);
        mprotect(base_ + page_ + inner_, page_, PROT_NONE);
    }
    ~guarded_memory() { munmap(base_, total_); }
    guarded_memory(const guarded_memory&) = delete;
    guarded_memory& operator=(const guarded_memory&) = delete;

    /// n elements whose last byte is the last allowed one.
    template <class T>
    [[nodiscard]] T* at_end(std::size_t n) const {
        return reinterpret_cast<T*>(base_ + page_ + inner_ - n * sizeof(T));
    }
    /// Elements whose first byte is the first allowed one.
    template <class T>
    [[nodiscard]] T* at_begin() const {
        return reinterpret_cast<T*>(base_ + page_);
    }
    /// Forbids every access to page number i, counted from at_begin().
    void forbid(std::size_t i) const { mprotect(base_ + page_ * (i + 1), page_, PROT_NONE); }
    [[nodiscard]] std::size_t page() const { return page_; }

private:
    std::size_t page_;
    std::size_t inner_;
    std::size_t total_;
    std::byte* base_ = nullptr;
};

}  // namespace test
