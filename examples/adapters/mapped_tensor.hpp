// SPDX-License-Identifier: Apache-2.0
//
// A tensor in a file: log-probs or logits that another program left behind, or that memory would
// not hold. The operating system reads and writes the pages that are touched. At the end stands
// all that the library must be told about it.
//
// The file is a header of 64 bytes, then the elements, row by row.

#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <system_error>

#include <prefopt/core/adapter.hpp>

/// A handle: copies of it are the same tensor. Elements of a new one are zero.
class mapped_tensor {
public:
    using kind_type = prefopt::element_kind;
    struct header {
        std::array<char, 8> magic{'t', 'e', 'n', 's', 'o', 'r', ' ', '1'};
        std::uint32_t kind = 0;
        std::uint32_t rank = 0;
        std::array<std::int64_t, 4> extents{};
        std::array<std::int64_t, 2> unused{};
    };
    static_assert(sizeof(header) == 64);

    /// A new file, or one that is overwritten.
    static mapped_tensor create(const std::string& file, kind_type kind,
                                std::span<const std::ptrdiff_t> extents) {
        const descriptor f(file, O_RDWR | O_CREAT | O_TRUNC);
        const header h = header_of(kind, extents);
        if (::ftruncate(f.number, static_cast<off_t>(bytes_of(h))) != 0) fail(errno, file);
        if (::pwrite(f.number, &h, sizeof h, 0) != sizeof h) fail(errno, file);
        return {h, f.number, MAP_SHARED, true};
    }
    /// A file that is there, to read; or also to write.
    static mapped_tensor open(const std::string& file, bool writable = false) {
        const descriptor f(file, writable ? O_RDWR : O_RDONLY);
        header h;
        const off_t size = ::lseek(f.number, 0, SEEK_END);
        const bool read = ::pread(f.number, &h, sizeof h, 0) == sizeof h;
        if (!read || h.magic != header().magic || h.kind > std::uint32_t(kind_type::boolean) ||
            h.rank > 4 || bytes_of(h) > static_cast<std::uint64_t>(size))
            fail(EINVAL, file + " is no tensor");
        return {h, f.number, MAP_SHARED, writable};
    }
    /// One without a file.
    static mapped_tensor anonymous(kind_type kind, std::span<const std::ptrdiff_t> extents) {
        return {header_of(kind, extents), -1, MAP_PRIVATE | MAP_ANONYMOUS, true};
    }

    [[nodiscard]] void* data() const { return static_cast<header*>(pages_.get()) + 1; }
    [[nodiscard]] kind_type kind() const { return static_cast<kind_type>(header_.kind); }
    [[nodiscard]] bool writable() const { return writable_; }
    [[nodiscard]] std::span<const std::int64_t> shape() const {
        return std::span(header_.extents).first(header_.rank);
    }
    [[nodiscard]] std::array<std::int64_t, 4> strides() const {
        std::array<std::int64_t, 4> s{};
        std::int64_t step = 1;
        for (std::size_t i = header_.rank; i-- > 0; step *= header_.extents[i]) s[i] = step;
        return s;
    }

private:
    struct descriptor {
        int number;
        descriptor(const std::string& file, int how) : number(::open(file.c_str(), how, 0666)) {
            if (number < 0) fail(errno, file);
        }
        ~descriptor() { ::close(number); }
        descriptor(const descriptor&) = delete;
        descriptor& operator=(const descriptor&) = delete;
    };

    mapped_tensor(const header& h, int file, int flags, bool writable)
        : header_(h), writable_(writable) {
        const std::uint64_t bytes = bytes_of(h);
        void* const p =
            ::mmap(nullptr, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, flags, file, 0);
        if (p == MAP_FAILED) fail(errno, "mmap");
        pages_ = std::shared_ptr<void>(p, [bytes](void* pages) { ::munmap(pages, bytes); });
    }
    [[noreturn]] static void fail(int error, const std::string& what) {
        throw std::system_error(error, std::generic_category(), what);
    }
    static header header_of(kind_type kind, std::span<const std::ptrdiff_t> extents) {
        header h;
        h.kind = static_cast<std::uint32_t>(kind);
        h.rank = static_cast<std::uint32_t>(extents.size());
        std::copy(extents.begin(), extents.end(), h.extents.begin());
        return h;
    }
    /// Of the whole file; more than any file has where the header is nonsense.
    static std::uint64_t bytes_of(const header& h) {
        constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
        auto n = static_cast<std::uint64_t>(size_of(static_cast<kind_type>(h.kind)));
        bool empty = false;  // which does not excuse what strides would overflow with
        for (std::size_t i = 0; i < h.rank; ++i) {
            const auto e = static_cast<std::uint64_t>(h.extents[i]);
            empty = empty || e == 0;
            if (e != 0 && n > (most - sizeof(header)) / e) return most;
            n *= e == 0 ? 1 : e;
        }
        return sizeof(header) + (empty ? 0 : n);
    }

    header header_;
    bool writable_;
    std::shared_ptr<void> pages_;
};

// adapter: begin
template <>
struct prefopt::adapter<mapped_tensor> {
    static constexpr std::size_t rank = dynamic_rank;
    static constexpr bool borrowed = true;
    static dynamic_view view(const mapped_tensor& t) {
        dynamic_view v(t.data(), t.kind(), t.shape(), t.strides());
        v.writable = t.writable();
        return v;
    }
    static mapped_tensor make_like(const mapped_tensor&, element_kind kind,
                                   std::span<const std::ptrdiff_t> extents) {
        return mapped_tensor::anonymous(kind, extents);
    }
};
// adapter: end
