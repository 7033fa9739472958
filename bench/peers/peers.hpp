// SPDX-License-Identifier: Apache-2.0
//
// Peers and yardsticks behind plain pointers. Their translation units are compiled with
// -O3 -march=native, the best these header libraries can get; ours are compiled with -O2.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

// A peer's version, from its macros.
#define PREFOPT_BENCH_TEXT_(x) #x
#define PREFOPT_BENCH_TEXT(x) PREFOPT_BENCH_TEXT_(x)
#define PREFOPT_BENCH_VERSION(a, b, c)                                                             \
    PREFOPT_BENCH_TEXT(a) "." PREFOPT_BENCH_TEXT(b) "." PREFOPT_BENCH_TEXT(c)

namespace prefopt_bench {

/// A batch of logits as peers see it, (rows, vocab), and its labels.
template <class T>
struct rows_of {
    const T* logits;
    const std::int64_t* labels;
    std::ptrdiff_t rows;
    std::ptrdiff_t vocab;
};

// What memory gives. Each is one linear sweep in the widest vectors of the machine, unrolled.
// `streaming` stores bypass the cache; both kinds are measured and the faster one is the yardstick.
namespace memory {
void read(const void* from, std::ptrdiff_t bytes);
/// The same bytes as four streams a quarter apart, which more of the machine's prefetchers follow.
void read_four_streams(const void* from, std::ptrdiff_t bytes);
void write(void* to, std::ptrdiff_t bytes, bool streaming);
void copy(const void* from, void* to, std::ptrdiff_t bytes, bool streaming);
/// to[i] *= 1: one read and one write of the same memory.
void scale(float* to, std::ptrdiff_t n);
/// to[i] += a * from[i]: two reads and a write.
void triad(const float* from, float* to, std::ptrdiff_t n, float a);
/// Reads four arrays and writes three, as a pairwise loss with its gradient does.
void four_to_three(const float* const from[4], float* const to[3], std::ptrdiff_t n,
                   bool streaming);
}  // namespace memory

namespace eigen {
const char* version();
/// The sum over rows of log softmax at the label.
double forward(rows_of<float> batch);
/// coefficient * (onehot - softmax), to memory that may be the logits.
void backward(rows_of<float> batch, double coefficient, float* to);
void log_sigmoid(std::span<const float> x, std::span<float> value);
void log_sigmoid(std::span<const double> x, std::span<double> value);
}  // namespace eigen

namespace xtensor {
const char* version();
double forward(rows_of<float> batch);
void log_sigmoid(std::span<const float> x, std::span<float> value);
void log_sigmoid(std::span<const double> x, std::span<double> value);
}  // namespace xtensor

/// oneDNN's log-softmax into memory of its own, then the labels' entries. One or more threads.
class onednn {
public:
    enum class type { f32, bf16 };
    onednn(const void* logits, type t, std::ptrdiff_t rows, std::ptrdiff_t vocab);
    ~onednn();
    onednn(onednn&&) noexcept;
    double forward(const std::int64_t* labels, int threads);
    static const char* version();

private:
    struct state;
    std::unique_ptr<state> state_;
};

}  // namespace prefopt_bench
