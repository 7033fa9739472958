// SPDX-License-Identifier: Apache-2.0
//
// Proves that translation units compiled with different flags - floating-point mode, instruction
// set, kernels, assertion level, exceptions - link into one program in which each keeps its own
// code, and that all of them compute the same.

#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "unit.hpp"

namespace {

int failures = 0;

void expect(bool condition, const char* what, const std::string& where) {
    if (condition) return;
    std::printf("failed: %s (%s)\n", what, where.c_str());
    ++failures;
}

bool near(double a, double b) {
    const double off = a - b;
    const double bound = 1e-12 * (b < 0 ? -b : b);
    return off <= bound && off >= -bound;
}

bool throws(void (*call)()) {
    try {
        call();
    } catch (const std::invalid_argument& e) {  // the one type that all units agree on
        return std::string(e.what()).find("beta must be finite") != std::string::npos;
    }
    return false;
}

}  // namespace

int main() {
    std::vector<abi::description> units{abi::ieee(), abi::fast(), abi::quiet(), abi::scalar(),
                                        abi::every()};
#ifdef ABI_WIDE
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2")) {
        units.push_back(abi::wide());
        units.push_back(abi::wide_fast());
    }
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        units.push_back(abi::widest());
#endif
    expect(!units[0].fast_math && units[1].fast_math, "the floating-point modes differ", "flags");
    expect(units[0].assert_level != units[1].assert_level, "the assertion levels differ", "flags");

    expect(units[3].kernels == std::string("scalar"), "no kernels but scalar", "scalar");
    expect(units[3].forced == std::string("scalar"), "nor when forced", "scalar");
    expect(units[4].forced == std::string("generic"), "the generic kernels are there", "every");
    expect(units[4].kernels == std::string(units[0].kernels), "the choice is the same", "every");

    for (std::size_t i = 0; i < units.size(); ++i) {
        const abi::description& u = units[i];
        std::printf("%s: %s kernels, loss %.17g\n", u.type.c_str(), u.kernels, u.loss);
        for (std::size_t j = 0; j < i; ++j) {
            const abi::description& v = units[j];
            const std::string both = u.type + " and " + v.type;
            expect(u.type != v.type, "the type's name differs", both);
            expect(u.sigmoid != v.sigmoid, "a function template has code of its own", both);
            expect(u.inline_function != v.inline_function, "so has an inline function", both);
            expect(u.inline_variable != v.inline_variable, "so has an inline variable", both);
        }
        expect(near(u.loss, 1.7095746511781449), "the loss is right", u.type);
        expect(u.confident < -2.0590e-6 && u.confident > -2.0592e-6, "the small log-prob is there",
               u.type);
        expect(u.nonfinite == 3, "NaN and infinity are counted", u.type);
        expect(u.refuses, "a beta of NaN is refused", u.type);
    }
    expect(throws(abi::fail_ieee), "a failing call throws", "ieee");
    expect(throws(abi::fail_fast), "a failing call throws", "fast");
    std::printf("%zu units, %d failures\n", units.size(), failures);
    return failures == 0 ? 0 : 1;
}
