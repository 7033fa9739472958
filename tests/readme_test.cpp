// SPDX-License-Identifier: Apache-2.0
//
// The README says what is true: its program is the one that the consumer tests build and run, its
// links lead somewhere, its commands exist, and its table has every loss. (Its code is compiled and
// run by tests/documents.)

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "support/catch.hpp"

namespace {

namespace fs = std::filesystem;
const fs::path root = PREFOPT_SOURCE_DIR;

std::string text_of(const fs::path& file) {
    std::ifstream in(file);
    REQUIRE(in.good());
    return {std::istreambuf_iterator<char>(in), {}};
}

/// The text of the n-th fenced block of a language.
std::string block(const std::string& text, const std::string& language, int n) {
    const std::string fence = "```" + language + "\n";
    std::size_t at = 0;
    for (int i = 0; i <= n; ++i) {
        at = text.find(fence, at);
        REQUIRE(at != std::string::npos);
        at += fence.size();
    }
    return text.substr(at, text.find("```", at) - at);
}

}  // namespace

TEST_CASE("the README's program is the consumer's") {
    const std::string program = text_of(root / "tests/consumer/main.cpp");
    const std::string shown = block(text_of(root / "README.md"), "cpp", 0);
    REQUIRE(program.size() > shown.size());
    CHECK(program.substr(program.size() - shown.size()) == shown);
}

TEST_CASE("the README's two commands exist, and come first") {
    const std::string readme = text_of(root / "README.md");
    const std::string commands = block(readme, "sh", 0);
    CHECK(readme.find(commands) < 40);
    for (const char* command : {"examples/align_tiny_lm/run", "tests/run"}) {
        CHECK(commands.find(command) != std::string::npos);
        const auto permissions = fs::status(root / command).permissions();
        CHECK((permissions & fs::perms::owner_exec) != fs::perms::none);
    }
}

TEST_CASE("every relative link of the documents leads to a file") {
    std::vector<fs::path> documents;
    for (const char* folder : {".", "docs"})
        for (const auto& entry : fs::directory_iterator(root / folder))
            if (entry.path().extension() == ".md") documents.push_back(entry.path());
    CHECK(documents.size() >= 6);
    for (const fs::path& file : documents) {
        const std::string text = text_of(file);
        std::size_t links = 0;
        for (std::size_t at = text.find("]("); at != std::string::npos; at = text.find("](", at)) {
            at += 2;
            const std::string target = text.substr(at, text.find_first_of(")#", at) - at);
            if (target.empty() || target.find("://") != std::string::npos) continue;
            CAPTURE(file.string(), target);
            CHECK(fs::exists(file.parent_path() / target));
            ++links;
        }
        if (file.filename() == "README.md") CHECK(links >= 12);
    }
}

TEST_CASE("the README's table has every loss header") {
    const std::string readme = text_of(root / "README.md");
    for (const auto& entry : fs::directory_iterator(root / "include/prefopt")) {
        if (entry.path().extension() != ".hpp") continue;
        const std::string header = text_of(entry.path());
        if (header.find("static constexpr auto kind") == std::string::npos) continue;
        CAPTURE(entry.path().filename().string());
        CHECK(readme.find("include/prefopt/" + entry.path().filename().string()) !=
              std::string::npos);
    }
}

TEST_CASE("the README's same lines are the same, and libtorch's are those of its test") {
    const std::string readme = text_of(root / "README.md");
    const std::string lines = "const prefopt::dpo loss{";
    std::vector<std::string> shown;
    for (int n = 0; shown.size() < 4; ++n) {
        const std::string text = block(readme, "cpp", n);
        const std::size_t at = text.find(lines);
        if (text.find("using vector = ") == std::string::npos || at == std::string::npos) continue;
        shown.push_back(text.substr(at));
    }
    for (const std::string& text : shown) {
        CHECK(text == shown[0]);
        CHECK(std::count(text.begin(), text.end(), '\n') == 4);
    }
    std::string inside;  // as it stands in a function: indented
    std::istringstream in(shown[3]);
    for (std::string line; std::getline(in, line);) inside += "    " + line + "\n";
    CHECK(text_of(root / "tests/torch/torch_test.cpp").find(inside) != std::string::npos);
}
