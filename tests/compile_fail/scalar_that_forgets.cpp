// SPDX-License-Identifier: Apache-2.0
//
// A dual number that converts to double has an exp, std::exp of its value, which has lost the
// derivative: it is not taken for the number's own.

#include <cmath>

#include <prefopt/kto.hpp>

namespace theirs {

struct dual {
    double value, slope;
    dual(double v, double s = 0) : value(v), slope(s) {}
    operator double() const { return value; }
    friend dual operator+(dual a, dual b) { return {a.value + b.value, a.slope + b.slope}; }
    friend dual operator-(dual a, dual b) { return {a.value - b.value, a.slope - b.slope}; }
    friend dual operator-(dual a) { return {-a.value, -a.slope}; }
    friend dual operator*(dual a, dual b) {
        return {a.value * b.value, a.slope * b.value + a.value * b.slope};
    }
    friend dual operator/(dual a, dual b) {
        return {a.value / b.value, (a.slope - a.value / b.value * b.slope) / b.value};
    }
};

#ifdef PREFOPT_MUST_FAIL
double exp(double x) { return std::exp(x); }
#else
dual exp(dual x) { return {std::exp(x.value), std::exp(x.value) * x.slope}; }
#endif

}  // namespace theirs

theirs::dual use(theirs::dual log_ratio) {
    return prefopt::kto{.beta = 0.1}.term(log_ratio, true, theirs::dual(0.0)).value;
}
