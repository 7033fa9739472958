// SPDX-License-Identifier: Apache-2.0
//
// A number with arithmetic alone runs IPO; DPO asks for exp, and says so.

#include <prefopt/dpo.hpp>
#include <prefopt/ipo.hpp>

namespace theirs {

struct number {
    double value;
    explicit number(double v) : value(v) {}
    friend number operator+(number a, number b) { return number(a.value + b.value); }
    friend number operator-(number a, number b) { return number(a.value - b.value); }
    friend number operator*(number a, number b) { return number(a.value * b.value); }
    friend number operator/(number a, number b) { return number(a.value / b.value); }
    friend number operator-(number a) { return number(-a.value); }
    friend bool operator<(number a, number b) { return a.value < b.value; }
    friend bool operator==(number a, number b) { return a.value == b.value; }
};

}  // namespace theirs

theirs::number use(theirs::number c, theirs::number r) {
#ifdef PREFOPT_MUST_FAIL
    return prefopt::dpo{.beta = 0.1}.term(c, r).value;
#else
    return prefopt::ipo{.beta = 0.1}.term(c, r).value;
#endif
}
