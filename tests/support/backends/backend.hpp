// SPDX-License-Identifier: Apache-2.0
//
// What the table of backends asks of a backend, and what it writes down.
//
// A backend is a struct that makes its tensors from row-major values, with extents that are known
// at compile time (arrays have no others):
//
//     struct std_vector {
//         static constexpr bool writable = true;  // may be an output; not an expression
//         template <class S, std::size_t... N>
//         static constexpr bool has = sizeof...(N) == 1;   // these scalars and extents
//         template <class S, std::size_t... N>
//         struct tensor {                          // keeps the memory that get() refers to
//             explicit tensor(const S* row_major);
//             auto& get();                         // or a handle, view or expression, by value
//         };
//     };
//
// S is float, double, bf16, fp16, or an integer (labels are std::int32_t, counts and offsets
// std::int64_t, flags std::uint8_t). What a backend has not, plain memory stands in for.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include <prefopt/core/core.hpp>

namespace test {

/// The elements of a tensor of any kind and layout, in row-major order: their bytes.
std::string bytes_of(const prefopt::dynamic_view& v);

template <class T>
prefopt::dynamic_view seen(const T& t) {
    if constexpr (std::is_same_v<T, double>)
        return prefopt::view(&t, {1});
    else
        return prefopt::adapter<T>::view(t);
}

/// A scalar as another library's type of the same bits.
template <class To, class From>
To as(const From& x) {
    static_assert(sizeof(To) == sizeof(From));
    To y;
    std::memcpy(static_cast<void*>(&y), &x, sizeof y);
    return y;
}

struct named_view {
    const char* name;
    prefopt::dynamic_view view;
};

/// What one backend was given, by name and element kind; and what it was refused.
class record {
public:
    void add(const char* name, const char* part, const prefopt::dynamic_view& v);
    /// All of a result: first the loss, whose digits depend on the kind of the others.
    void add(const char* name, std::initializer_list<named_view> parts);
    /// A refusal: its sentence has the code, the argument, the index and the value or shapes.
    void add(int number, const prefopt::status& s);

    /// Checks that all of it is in `want`, bit for bit, and that it is not empty.
    void expect_in(const record& want) const;
    /// Checks that nothing in it was let through.
    void expect_refusals() const;

private:
    std::map<std::string, std::string> values_{};
};

/// Plain memory: std::vector, and prefopt::tensor for matrices and cubes. What the table compares
/// with, and what stands in.
struct plain {
    static constexpr bool writable = true;
    template <class S, std::size_t... N>
    static constexpr bool has = true;

    template <class S, std::size_t... N>
    struct tensor {
        prefopt::tensor<S, sizeof...(N)> value{{static_cast<std::ptrdiff_t>(N)...}};
        explicit tensor(const S* x) { std::copy(x, x + (N * ...), value.data()); }
        auto& get() { return value; }
    };
    template <class S, std::size_t N>
    struct tensor<S, N> {
        std::vector<S> value;
        explicit tensor(const S* x) : value(x, x + N) {}
        auto& get() { return value; }
    };
};

/// Plain memory whose elements are all the first of what it is given: what strides of 0 look like.
/// Of floating types alone: rankings, labels and offsets must differ. Not written to, and neither
/// are the tensors with such strides.
struct one_element {
    static constexpr bool writable = false;
    template <class S, std::size_t... N>
    static constexpr bool has = prefopt::real_scalar<S>;
    template <class S, std::size_t... N>
    struct tensor : plain::tensor<S, N...> {
        explicit tensor(const S* x)
            : plain::tensor<S, N...>(std::vector<S>((N * ...), *x).data()) {}
    };
};

/// The tensor of a backend, or a plain one where it has none.
template <class Backend, class S, std::size_t... N>
auto make(const std::vector<S>& row_major) {
    if constexpr (Backend::template has<S, N...>)
        return typename Backend::template tensor<S, N...>(row_major.data());
    else
        return plain::tensor<S, N...>(row_major.data());
}

/// The same for options and for what `into` reads, which must be there already: no expressions.
template <class Backend, class S, std::size_t... N>
auto make_owned(const std::vector<S>& row_major) {
    if constexpr (Backend::writable)
        return make<Backend, S, N...>(row_major);
    else
        return plain::tensor<S, N...>(row_major.data());
}

}  // namespace test
