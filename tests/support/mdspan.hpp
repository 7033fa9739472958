// SPDX-License-Identifier: Apache-2.0
//
// As much of mdspan as an adapter can see, for compilers whose standard library has none: extents,
// three layouts, the accessor and the members of the standard's class, of any of which a test can
// make its own variant.

#pragma once

#include <array>
#include <cstddef>
#include <utility>

namespace mini {

inline constexpr std::size_t dynamic_extent = static_cast<std::size_t>(-1);

template <class I, std::size_t... E>
class extents {
public:
    using index_type = I;
    using rank_type = std::size_t;
    extents() = default;
    /// One argument for every dimension, static ones included.
    template <class... N>
        requires(sizeof...(N) == sizeof...(E))
    explicit constexpr extents(N... n) : sizes_{static_cast<I>(n)...} {}
    static constexpr rank_type rank() noexcept { return sizeof...(E); }
    static constexpr std::size_t static_extent(rank_type r) noexcept { return std::array{E...}[r]; }
    constexpr I extent(rank_type r) const noexcept {
        return static_extent(r) == dynamic_extent ? sizes_[r] : static_cast<I>(static_extent(r));
    }

private:
    std::array<I, sizeof...(E)> sizes_{};
};

namespace detail {

/// The mapping of layouts whose strides are products of extents.
template <class Extents, bool Right>
class compact_mapping {
public:
    using extents_type = Extents;
    using index_type = typename Extents::index_type;
    compact_mapping() = default;
    constexpr compact_mapping(const Extents& e) : extents_(e) {}  // NOLINT: as the standard's
    constexpr const Extents& extents() const noexcept { return extents_; }
    static constexpr bool is_always_strided() noexcept { return true; }
    static constexpr bool is_strided() noexcept { return true; }
    constexpr index_type stride(std::size_t r) const noexcept {
        index_type s = 1;
        for (std::size_t i = Right ? r + 1 : 0; i < (Right ? Extents::rank() : r); ++i)
            s = static_cast<index_type>(s * extents_.extent(i));
        return s;
    }

private:
    Extents extents_{};
};

}  // namespace detail

struct layout_right {
    template <class Extents>
    using mapping = detail::compact_mapping<Extents, true>;
};
struct layout_left {
    template <class Extents>
    using mapping = detail::compact_mapping<Extents, false>;
};
struct layout_stride {
    template <class Extents>
    class mapping : public detail::compact_mapping<Extents, true> {
    public:
        using typename detail::compact_mapping<Extents, true>::index_type;
        mapping() = default;
        template <class I, std::size_t R>
        constexpr mapping(const Extents& e, const std::array<I, R>& s)
            : detail::compact_mapping<Extents, true>(e) {
            for (std::size_t i = 0; i < R; ++i) strides_[i] = static_cast<index_type>(s[i]);
        }
        constexpr index_type stride(std::size_t r) const noexcept { return strides_[r]; }

    private:
        std::array<index_type, Extents::rank()> strides_{};
    };
};

template <class T>
struct default_accessor {
    using element_type = T;
    using reference = T&;
    using data_handle_type = T*;
};

template <class T, class Extents, class Layout = layout_right, class Accessor = default_accessor<T>>
class mdspan {
public:
    using element_type = T;
    using extents_type = Extents;
    using layout_type = Layout;
    using accessor_type = Accessor;
    using mapping_type = typename Layout::template mapping<Extents>;
    using index_type = typename Extents::index_type;
    using reference = typename Accessor::reference;
    using data_handle_type = typename Accessor::data_handle_type;

    mdspan() = default;
    constexpr mdspan(data_handle_type p, const mapping_type& m) : data_(p), mapping_(m) {}
    static constexpr std::size_t rank() noexcept { return Extents::rank(); }
    static constexpr bool is_always_strided() { return mapping_type::is_always_strided(); }
    constexpr const data_handle_type& data_handle() const noexcept { return data_; }
    constexpr const mapping_type& mapping() const noexcept { return mapping_; }
    constexpr const Extents& extents() const noexcept { return mapping_.extents(); }
    constexpr index_type extent(std::size_t r) const noexcept { return extents().extent(r); }

private:
    data_handle_type data_{};
    mapping_type mapping_{};
};

}  // namespace mini
