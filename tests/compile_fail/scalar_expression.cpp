// SPDX-License-Identifier: Apache-2.0
//
// A lazy expression, as multiprecision and dual numbers have them, is not a number.

#include <prefopt/ipo.hpp>

namespace theirs {

struct number {
    double value;
    explicit number(double v) : value(v) {}
    struct difference {
        const number& a;
        const number& b;
        operator number() const { return number(a.value - b.value); }
    };
    friend difference operator-(const number& a, const number& b) { return {a, b}; }
    friend number operator+(const number& a, const number& b) { return number(a.value + b.value); }
    friend number operator*(const number& a, const number& b) { return number(a.value * b.value); }
    friend number operator/(const number& a, const number& b) { return number(a.value / b.value); }
    friend number operator-(const number& a) { return number(-a.value); }
};

}  // namespace theirs

theirs::number use(const theirs::number& policy, const theirs::number& reference) {
    const prefopt::ipo loss{.beta = 0.1};
#ifdef PREFOPT_MUST_FAIL
    return loss.term(policy - reference, reference - policy).value;
#else
    return loss.term<theirs::number>(policy - reference, reference - policy).value;
#endif
}
