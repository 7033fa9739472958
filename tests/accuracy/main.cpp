// SPDX-License-Identifier: Apache-2.0
//
// prefopt_accuracy: the tables of docs/accuracy.md.
//
//     prefopt_accuracy [float] [double] [rows] [--share N] [--processes P]
//
// Sweeps every float, some 3e8 doubles, and rows of logits; --share N takes about 1 of N points.
// Ends with 1 where a bound of the library's documents, or a count of points, does not hold.

#define PREFOPT_GENERIC_SIMD  // before the first header: every set that can be compiled

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "accuracy/report.hpp"
#include "accuracy/rows.hpp"
#include "accuracy/sweep.hpp"

namespace {

using namespace test::accuracy;

struct options {
    bool floats = false, doubles = false, rows = false;
    std::uint64_t share = 1;
    unsigned processes = 1;
};

[[noreturn]] void usage() {
    std::fputs("usage: prefopt_accuracy [float] [double] [rows] [--share N] [--processes P]\n",
               stderr);
    std::exit(2);
}

options parse(int argc, char** argv) {
    options o;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        const auto number = [&] {
            const long n = ++i < argc ? std::strtol(argv[i], nullptr, 10) : 0;
            if (n < 1) usage();
            return static_cast<std::uint64_t>(n);
        };
        if (word == "float")
            o.floats = true;
        else if (word == "double")
            o.doubles = true;
        else if (word == "rows")
            o.rows = true;
        else if (word == "--share")
            o.share = number();
        else if (word == "--processes")
            o.processes = static_cast<unsigned>(number());
        else
            usage();
    }
    if (!o.floats && !o.doubles && !o.rows) o.floats = o.doubles = o.rows = true;
    if (o.processes > 64) usage();
    return o;
}

/// An array that child processes write and this one reads. The instruction set is chosen for a
/// whole process, so work is split over processes, not threads.
template <class T>
class shared_array {
public:
    explicit shared_array(std::size_t n) : bytes_(n * sizeof(T)) {
        static_assert(std::is_trivially_copyable_v<T>);
        void* p = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) throw std::bad_alloc();
        data_ = static_cast<T*>(p);
    }
    ~shared_array() { munmap(data_, bytes_); }
    shared_array(const shared_array&) = delete;
    shared_array& operator=(const shared_array&) = delete;
    T& operator[](std::size_t i) const { return data_[i]; }

private:
    std::size_t bytes_;
    T* data_;
};

template <class T>
tally sweep(const point_set<T>& points, const std::vector<instruction_set>& sets,
            unsigned processes) {
    const shared_array<tally> part(processes);
    const std::uint64_t chunks = points.chunks();
    std::vector<pid_t> children;
    for (unsigned p = 0; p < processes; ++p) {
        const pid_t child = fork();
        if (child < 0) throw std::bad_alloc();
        if (child > 0) {
            children.push_back(child);
            continue;
        }
        workspace<T> w;
        for (std::uint64_t i = p; i < chunks; i += processes) {
            sweep_chunk(points, scattered(i, chunks), sets, w, part[p]);
            const bool tells = p == 0 && i * 20 / chunks != (i + processes) * 20 / chunks;
            if (tells) std::fprintf(stderr, "%3d %%\n", static_cast<int>(i * 100 / chunks) + 1);
        }
        _exit(0);
    }
    for (const pid_t child : children) {
        int status = 0;
        waitpid(child, &status, 0);
        if (status != 0) {
            std::fputs("a part of the sweep crashed\n", stderr);
            std::exit(3);
        }
    }
    tally total{};
    for (unsigned p = 0; p < processes; ++p) total.add(part[p]);
    return total;
}

template <class T>
bool measure(const options& o) {
    const point_set<T> points(o.share);
    auto sets = instruction_sets();
    // Where the generic vectors are not the processor's own they are emulated: a sample is enough.
    if (o.share < 64 && prefopt::widest_instruction_set() != instruction_set::generic)
        std::erase(sets, instruction_set::generic);
    const double off = reference_error(points, 1'000'000 / o.share + 1000);
    std::fprintf(stderr, "%s: the fast reference is right to %.2g ULP, margin %.2g\n", name_of<T>(),
                 off, margin<T>);
    if (!(off < margin<T>)) return false;
    const tally total = sweep(points, sets, o.processes);
    print<T>(total, sets);
    return complete(points, total, sets) && within_bounds<T>(total, sets);
}

}  // namespace

int main(int argc, char** argv) {
    const options o = parse(argc, argv);
    bool good = true;
    if (o.floats) good = measure<float>(o) && good;
    if (o.doubles) good = measure<double>(o) && good;
    if (o.rows) good = measure_all_rows(o.share) && good;
    if (!good) std::fputs("FAILED: see above\n", stderr);
    return good ? 0 : 1;
}
