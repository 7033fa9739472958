// SPDX-License-Identifier: Apache-2.0
//
// Two backends that nobody thought of: a tensor in a file, and a matrix in tiles. At most 25 lines
// tell the library about either; the check for authors passes them, and so does the whole table.

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include <prefopt/testing/conformance.hpp>

#include "../examples/adapters/mapped_tensor.hpp"
#include "../examples/adapters/tiled_matrix.hpp"
#include "support/backends/table.hpp"
#include "support/catch.hpp"

namespace {

/// A file that is gone at the end.
struct temporary_file {
    std::string name = (std::filesystem::temp_directory_path() / "prefopt-XXXXXX").string();
    temporary_file() {
        const int f = ::mkstemp(name.data());
        REQUIRE(f >= 0);
        ::close(f);
    }
    ~temporary_file() { std::remove(name.c_str()); }
    temporary_file(const temporary_file&) = delete;
    temporary_file& operator=(const temporary_file&) = delete;
};

struct mapped {
    static constexpr bool writable = true;
    template <class S, std::size_t... N>
    static constexpr bool has = true;
    template <class S, std::size_t... N>
    struct tensor {
        mapped_tensor value = in_a_file();
        explicit tensor(const S* x) { std::copy(x, x + (N * ...), static_cast<S*>(value.data())); }
        auto& get() { return value; }

        static mapped_tensor in_a_file() {
            const temporary_file file;  // its pages stay for as long as they are mapped
            const std::ptrdiff_t extents[] = {static_cast<std::ptrdiff_t>(N)...};
            return mapped_tensor::create(file.name, prefopt::element_kind_of<S>(), extents);
        }
    };
};

struct tiled {
    static constexpr bool writable = false;
    template <class S, std::size_t... N>
    static constexpr bool has = sizeof...(N) == 2;
    template <class S, std::size_t Rows, std::size_t Columns>
    struct tensor {
        tiled_matrix<S> value{Rows, Columns};
        explicit tensor(const S* x) {
            for (std::ptrdiff_t i = 0; i < value.rows(); ++i)
                for (std::ptrdiff_t j = 0; j < value.columns(); ++j)
                    value(i, j) = x[i * value.columns() + j];
        }
        const auto& get() const { return value; }
    };
};

/// Lines of code between the marks of an example.
int lines_of_adapter(const char* example) {
    std::ifstream file(std::string(PREFOPT_SOURCE_DIR "/examples/adapters/") + example);
    int lines = -1;
    for (std::string line; std::getline(file, line);) {
        if (line == "// adapter: end") return lines;
        if (line == "// adapter: begin")
            lines = 0;
        else if (lines >= 0)
            ++lines;
    }
    return -1;
}

}  // namespace

TEMPLATE_TEST_CASE("table: a tensor in a file, a matrix in tiles", "[backends]", mapped, tiled) {
    test::expect_table<TestType>();
}

TEST_CASE("a backend nobody thought of takes at most 25 lines", "[backends]") {
    for (const char* example : {"mapped_tensor.hpp", "tiled_matrix.hpp"}) {
        CAPTURE(example);
        CHECK(lines_of_adapter(example) > 5);
        CHECK(lines_of_adapter(example) <= 25);
    }
}

TEST_CASE("conformance passes a tensor in a file and a matrix in tiles", "[backends]") {
    const std::vector<std::string> none;
    for (const std::ptrdiff_t columns : {4, 9}) {
        mapped_tensor m =
            mapped_tensor::anonymous(prefopt::element_kind::bf16, std::array{3L, columns});
        CHECK(prefopt::testing::conformance(m) == none);
        tiled_matrix<float> t(9, columns);
        t(8, 3) = 2;
        CHECK(prefopt::testing::conformance(t) == none);
    }
}

TEST_CASE("logits in a file are scored where they lie, and their gradient is written there") {
    const temporary_file file;
    const std::ptrdiff_t shape[] = {2, 3};
    const std::vector<int> labels{2, 0};
    {
        const auto t = mapped_tensor::create(file.name, prefopt::element_kind::f32, shape);
        for (int i = 0; i < 6; ++i) static_cast<float*>(t.data())[i] = static_cast<float>(i * i);
    }
    const float plain[2][3] = {{0, 1, 4}, {9, 16, 25}};
    {
        auto t = mapped_tensor::open(file.name, true);
        const auto scored = prefopt::sequence_log_probs_in_place(t, labels);
        CHECK(*static_cast<double*>(scored.sum.data()) ==
              prefopt::sequence_log_probs(plain, labels).sum[0]);
    }
    float direction[2][3];
    prefopt::sequence_log_probs_backward(plain, labels, std::vector{1.0}, direction);
    const auto t = mapped_tensor::open(file.name);
    CHECK(test::bytes_of(test::seen(t)) == test::bytes_of(test::seen(direction)));

    // Opened to be read only: refused before a byte is written. And files that are no tensors.
    CHECK(prefopt::check(prefopt::sequence_log_probs_in_place, t, labels).code ==
          prefopt::errc::bad_tensor);
    std::filesystem::resize_file(file.name, 70);
    CHECK_THROWS_AS(mapped_tensor::open(file.name), std::system_error);
    std::ofstream(file.name) << "something else that is longer than a header would be, by a little";
    CHECK_THROWS_AS(mapped_tensor::open(file.name), std::system_error);
    mapped_tensor::header absurd;  // empty, and its strides are no numbers
    absurd.rank = 3;
    absurd.extents = {0, std::int64_t{1} << 62, 4, 0};
    std::ofstream(file.name, std::ios::binary)
        .write(reinterpret_cast<const char*>(&absurd), sizeof absurd);
    CHECK_THROWS_AS(mapped_tensor::open(file.name), std::system_error);
    CHECK_THROWS_AS(mapped_tensor::open(file.name + " is not there"), std::system_error);
}
