// SPDX-License-Identifier: Apache-2.0
//
// Complex numbers have no order: DPO cannot be evaluated in them, IPO can.

#include <complex>

#include <prefopt/dpo.hpp>
#include <prefopt/ipo.hpp>

double use(std::complex<double> c, std::complex<double> r) {
#ifdef PREFOPT_MUST_FAIL
    return prefopt::dpo{.beta = 0.1}.term(c, r).value.imag();
#else
    return prefopt::ipo{.beta = 0.1}.term(c, r).value.imag();
#endif
}
