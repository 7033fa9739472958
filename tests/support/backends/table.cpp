// SPDX-License-Identifier: Apache-2.0
//
// What the table of backends is compared with, and the kernels that its units share.

#define PREFOPT_TEST_KERNELS
#include "kernels.hpp"
//
#include "table.hpp"

#include "../catch.hpp"

namespace test {

std::string bytes_of(const prefopt::dynamic_view& v) {
    const auto size = static_cast<std::size_t>(size_of(v.element));
    std::ptrdiff_t n = 1;
    for (std::size_t i = 0; i < v.rank; ++i) n *= v.extents[i];
    std::string bytes;
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        std::ptrdiff_t at = 0;
        std::ptrdiff_t rest = i;
        for (std::size_t axis = v.rank; axis-- > 0; rest /= v.extents[axis])
            at += rest % v.extents[axis] * v.strides[axis];
        bytes.append(static_cast<const char*>(v.data) + at * size_of(v.element), size);
    }
    return bytes;
}

void record::add(const char* name, const char* part, const prefopt::dynamic_view& v) {
    const std::string key = std::string(name) + part + " of " + std::to_string(int(v.element));
    INFO(key);
    REQUIRE(v.refusal == nullptr);
    const auto [at, fresh] = values_.emplace(key, bytes_of(v));
    if (!fresh) CHECK((at->second == bytes_of(v)));  // a call and its `into` say the same
}

void record::add(const char* name, std::initializer_list<named_view> parts) {
    const named_view& loss = *parts.begin();
    const std::string to = " to " + std::to_string(int(parts.begin()[1].view.element));
    add(name, (loss.name + to).c_str(), loss.view);
    if (loss.view.element == prefopt::element_kind::f64) {  // some families have it as a float
        const auto near = static_cast<float>(*static_cast<const double*>(loss.view.data));
        add(name, (loss.name + to).c_str(), prefopt::view(&near, {1}));
    }
    for (const named_view& p : std::span(parts).subspan(1)) add(name, p.name, p.view);
}

void record::add(int number, const prefopt::status& s) {
    values_.emplace("refusal " + std::to_string(number), s.message());
}

void record::expect_in(const record& want) const {
    CHECK_FALSE(values_.empty());
    for (const auto& [name, value] : values_) {
        INFO(name);
        const auto found = want.values_.find(name);
        REQUIRE(found != want.values_.end());
        if (name.starts_with("refusal"))  // in words
            CHECK(value == found->second);
        else
            CHECK((value == found->second));
    }
}

void record::expect_refusals() const {
    for (const auto& [name, value] : values_) {
        INFO(name);
        CHECK(value != "ok");
    }
}

template <class S>
const record& plain_table() {
    static const record r = table_of<plain, S>().take();
    return r;
}
template const record& plain_table<float>();
template const record& plain_table<double>();
template const record& plain_table<prefopt::bf16>();
template const record& plain_table<prefopt::fp16>();

const record& plain_refusals() {
    static const record r = refusals_of<plain>().take();
    return r;
}

}  // namespace test
