// SPDX-License-Identifier: Apache-2.0
//
// Proves that the house is built as it is described: every header opens with a licence and prose,
// stays short, defines nothing but PREFOPT_ macros, and includes only what its room may include.
// The arrows between the rooms point one way.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"

namespace {

namespace fs = std::filesystem;

struct header {
    std::string name;  // relative to the include root: prefopt/core/view.hpp
    std::string room;  // core, math, ..., or "losses" for what lies at the top
    std::vector<std::string> lines;
};

const fs::path include_root = fs::path(PREFOPT_SOURCE_DIR) / "include";

std::string room_of(std::string_view name) {
    const std::size_t first = name.find('/') + 1;
    const std::size_t second = name.find('/', first);
    if (second == std::string_view::npos) return "losses";
    if (name.substr(first).starts_with("adapters/torch")) return "adapters/torch";
    return std::string(name.substr(first, second - first));
}

std::vector<header> headers() {
    std::vector<header> all;
    for (const auto& entry : fs::recursive_directory_iterator(include_root)) {
        if (!entry.is_regular_file()) continue;
        header h;
        h.name = fs::relative(entry.path(), include_root).generic_string();
        h.room = room_of(h.name);
        std::ifstream file(entry.path());
        for (std::string line; std::getline(file, line);) h.lines.push_back(line);
        all.push_back(h);
    }
    std::sort(all.begin(), all.end(),
              [](const header& a, const header& b) { return a.name < b.name; });
    return all;
}

std::string trimmed(const std::string& s) {
    const std::size_t first = s.find_first_not_of(" \t");
    return first == std::string::npos ? ""
                                      : s.substr(first, s.find_last_not_of(" \t\r") - first + 1);
}

/// What follows `#keyword` in a header, one per directive; `# define` and `#define` alike.
std::vector<std::string> directives(const header& h, std::string_view keyword) {
    std::vector<std::string> found;
    for (const std::string& line : h.lines) {
        std::string text = trimmed(line);
        if (text.empty() || text[0] != '#') continue;
        text = trimmed(text.substr(1));
        if (text.compare(0, keyword.size(), keyword) == 0)
            found.push_back(trimmed(text.substr(keyword.size())));
    }
    return found;
}

bool starts_with(std::string_view s, std::string_view start) {
    return s.substr(0, start.size()) == start;
}

/// Opens a region per instruction set and includes a kernel's text in each.
constexpr const char* for_each_set = "prefopt/simd/for_each_set.inc";

/// Asks for parts of <immintrin.h> in its name, and undoes that.
constexpr const char* intrinsics = "prefopt/simd/intrinsics.hpp";
constexpr const char* intrinsics_guard = "_IMMINTRIN_H_INCLUDED";
const std::set<std::string, std::less<>> intrinsics_headers{
    "smmintrin.h", "avxintrin.h", "avx2intrin.h", "f16cintrin.h",
    "fmaintrin.h", "immintrin.h", "arm_neon.h",
};

/// The text of kernels, included once per instruction set inside its region: not a header.
bool is_kernel_text(const header& h) { return fs::path(h.name).extension() == ".inc"; }

// clang-format off
const std::set<std::string, std::less<>> standard_headers{
    "algorithm",   "any",          "array",       "atomic",     "bit",         "bitset",
    "cassert",     "cctype",       "cerrno",      "cfenv",      "cfloat",      "charconv",
    "chrono",      "cinttypes",    "climits",     "cmath",      "compare",     "complex",
    "concepts",    "cstddef",      "cstdint",     "cstdio",     "cstdlib",     "cstring",
    "exception",   "functional",   "initializer_list",          "iterator",    "limits",
    "memory",      "mutex",        "new",         "numbers",    "numeric",     "optional",
    "ostream",     "random",       "ranges",      "span",       "sstream",     "stdexcept",
    "string",      "string_view",  "thread",      "tuple",      "type_traits", "utility",
    "variant",     "vector",       "version",     "typeinfo",   "iosfwd",      "cstdarg",
    "system_error", "source_location",
};
// clang-format on

// Which rooms a room may include from. Every room may include from itself and the version.
const std::map<std::string, std::set<std::string>> arrows{
    {"core", {}},
    {"math", {"core"}},
    {"simd", {"math", "core"}},
    {"batch", {"simd", "math", "core"}},
    {"losses", {"batch", "simd", "math", "core"}},
    {"testing", {"losses", "batch", "simd", "math", "core"}},
    {"adapters", {"core"}},
    // The adapter with automatic gradients computes whole calls: it knows what is computed.
    {"adapters/torch", {"losses", "batch", "simd", "math", "core"}},
    {"executors", {"core"}},
};

}  // namespace

TEST_CASE("every header opens with a licence line and prose", "[house]") {
    const auto all = headers();
    REQUIRE(all.size() > 25);
    for (const header& h : all) {
        CAPTURE(h.name);
        CHECK((fs::path(h.name).extension() == ".hpp" || is_kernel_text(h)));
        REQUIRE(h.lines.size() > 4);
        CHECK(h.lines[0] ==
              "// SPDX-License-"
              "Identifier: Apache-2.0");
        CHECK(h.lines[1] == "//");
        std::size_t line = 2;
        std::size_t prose = 0;
        for (; line < h.lines.size() && starts_with(h.lines[line], "//"); ++line)
            if (h.lines[line].size() > 20) ++prose;
        CHECK(prose >= 1);
        REQUIRE(line + 1 < h.lines.size());
        CHECK(h.lines[line].empty());
        CHECK((h.lines[line + 1] == "#pragma once") == !is_kernel_text(h));
        CHECK(directives(h, "pragma once").size() == (is_kernel_text(h) ? 0 : 1));
    }
}

TEST_CASE("no header is longer than 400 lines or wider than 100 columns", "[house]") {
    for (const header& h : headers()) {
        CAPTURE(h.name);
        CHECK(h.lines.size() <= 400);
        for (std::size_t i = 0; i < h.lines.size(); ++i) {
            const std::string& line = h.lines[i];
            CAPTURE(i + 1, line);
            if (line.size() > 100) CHECK(line.size() <= 100);
            if (line.find('\t') != std::string::npos) CHECK(line.find('\t') == std::string::npos);
            if (trimmed(line).empty() && !line.empty()) CHECK(line.empty());
        }
    }
}

TEST_CASE("the arrows between the rooms point one way", "[house]") {
    std::set<std::string> seen;
    int checked = 0;
    for (const header& h : headers()) {
        CAPTURE(h.name, h.room);
        const auto allowed = arrows.find(h.room);
        REQUIRE(allowed != arrows.end());
        seen.insert(h.room);
        for (const std::string& include : directives(h, "include")) {
            CAPTURE(include);
            REQUIRE(include.size() > 2);
            if (include == "PREFOPT_KERNELS" && h.name == for_each_set) continue;
            REQUIRE(include.front() == '<');  // ours too, relative to the include root
            const std::string name = include.substr(1, include.find('>') - 1);
            ++checked;
            if (starts_with(name, "prefopt/")) {
                CHECK(fs::exists(include_root / name));
                CHECK(name != h.name);
                const std::string room = room_of(name);
                const bool fine = room == h.room || name == "prefopt/version.hpp" ||
                                  allowed->second.count(room) == 1;
                CHECK(fine);
                // Not even one adapter another, but <backend>_part.hpp may include <backend>.hpp.
                const std::string stem = name.substr(0, name.find(".hpp"));
                CHECK((room != "adapters" || starts_with(h.name, stem + "_")));
            } else if (!starts_with(h.room, "adapters")) {
                const bool fine = standard_headers.count(name) == 1 ||
                                  (h.name == intrinsics && intrinsics_headers.count(name) == 1);
                CHECK(fine);
            }
        }
    }
    CHECK(checked > 100);
    for (const char* room : {"core", "math", "simd", "batch", "losses", "adapters"})
        CHECK(seen.count(room) == 1);
}

TEST_CASE("an adapter knows one backend", "[house]") {
    for (const header& h : headers()) {
        if (!starts_with(h.room, "adapters")) continue;
        CAPTURE(h.name);
        std::set<std::string> backends;
        for (const std::string& include : directives(h, "include")) {
            const std::string name = include.substr(1, include.find('>') - 1);
            if (starts_with(name, "prefopt/") || standard_headers.count(name) == 1) continue;
            backends.insert(name.substr(0, name.find('/')));
        }
        CHECK(backends.size() <= 1);
    }
}

TEST_CASE("prefopt.hpp includes every public header and nothing else", "[house]") {
    std::set<std::string> public_headers;
    std::set<std::string> included;
    for (const header& h : headers()) {
        if (h.room != "losses") continue;
        if (h.name != "prefopt/prefopt.hpp") {
            public_headers.insert(h.name);
            continue;
        }
        for (const std::string& include : directives(h, "include"))
            included.insert(include.substr(1, include.find('>') - 1));
    }
    CHECK(public_headers.size() >= 10);
    CHECK(included == public_headers);
}

TEST_CASE("the headers define nothing but PREFOPT_ macros", "[house]") {
    int defined = 0;
    for (const header& h : headers()) {
        CAPTURE(h.name);
        for (const std::string& macro : directives(h, "define")) {
            CAPTURE(macro);
            const bool guard = h.name == intrinsics && macro == intrinsics_guard;
            CHECK((starts_with(macro, "PREFOPT_") || guard));
            ++defined;
            if (guard) CHECK(directives(h, "undef") == std::vector<std::string>{macro});
        }
        for (const std::string& macro : directives(h, "undef")) {  // what names an included text
            CAPTURE(macro);
            const bool guard = h.name == intrinsics && macro == intrinsics_guard;
            CHECK((macro == "PREFOPT_KERNELS" || macro == "PREFOPT_OPS" || guard));
        }
        for (const std::string& line : h.lines) {
            CAPTURE(line);
            const std::size_t at = line.find("using namespace");
            if (at != std::string::npos) CHECK(at == std::string::npos);
        }
    }
    CHECK(defined > 10);
}

TEST_CASE("every header that names the library's types is in its versioned namespace", "[house]") {
    for (const header& h : headers()) {
        CAPTURE(h.name);
        bool opens = false;
        for (const std::string& line : h.lines) {
            if (!starts_with(line, "namespace ")) continue;
            const bool inside =
                opens && (line == "namespace detail {" || line == "namespace scalar {");
            if (!inside) CHECK(starts_with(line, "namespace prefopt::inline PREFOPT_ABI"));
            opens = true;
        }
        const bool only_forwards =
            h.name == "prefopt/prefopt.hpp" || h.name == "prefopt/version.hpp" ||
            h.name == "prefopt/core/config.hpp" || h.name == "prefopt/core/core.hpp" ||
            h.name == "prefopt/core/ranges.hpp" || h.name == "prefopt/simd/region.hpp" ||
            h.name == intrinsics;
        // Kernels stand in the namespace of their set, and must include nothing inside its region.
        if (is_kernel_text(h)) {
            CHECK((h.room == "simd" || h.room == "batch"));
            CHECK((directives(h, "include").empty() || h.name == for_each_set));
        }
        const bool inside = is_kernel_text(h) && h.name != for_each_set;
        CHECK(opens != (only_forwards || inside));
    }
}
