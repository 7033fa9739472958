// SPDX-License-Identifier: Apache-2.0
//
// One library: the README's program, and what its copy of prefopt is.

#include "../first_result.cpp"

#include <cstring>
#include <typeinfo>

#include "identity.hpp"

identity IDENTITY() {
    double (*sigmoid)(const double&) = &prefopt::sigmoid<double>;
    const void* address = nullptr;
    std::memcpy(&address, &sigmoid, sizeof address);
    return {typeid(prefopt::dpo).name(), address};
}
