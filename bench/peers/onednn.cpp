// SPDX-License-Identifier: Apache-2.0
//
// oneDNN: its log-softmax primitive, made once, into memory allocated once.

#include <omp.h>

#include <cstring>
#include <dnnl.hpp>
#include <vector>

#include "peers.hpp"

namespace prefopt_bench {

struct onednn::state {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};
    std::ptrdiff_t vocab;
    std::ptrdiff_t rows;
    bool half;
    std::vector<std::byte> out;
    dnnl::memory from;
    dnnl::memory to;
    dnnl::primitive primitive;

    [[nodiscard]] double at(std::ptrdiff_t i) const {
        float x = 0;
        if (half) {
            std::uint16_t bits = 0;
            std::memcpy(&bits, out.data() + 2 * i, 2);
            const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
            std::memcpy(&x, &wide, 4);
        } else {
            std::memcpy(&x, out.data() + 4 * i, 4);
        }
        return static_cast<double>(x);
    }
};

onednn::onednn(const void* logits, type t, std::ptrdiff_t rows, std::ptrdiff_t vocab)
    : state_(std::make_unique<state>()) {
    using dnnl::memory;
    state& s = *state_;
    s.rows = rows;
    s.vocab = vocab;
    s.half = t == type::bf16;
    s.out.resize(static_cast<std::size_t>(rows * vocab * (s.half ? 2 : 4)));
    const memory::desc shape({rows, vocab},
                             s.half ? memory::data_type::bf16 : memory::data_type::f32,
                             memory::format_tag::ab);
    s.from = memory(shape, s.engine, const_cast<void*>(logits));
    s.to = memory(shape, s.engine, s.out.data());
#if DNNL_VERSION_MAJOR >= 3
    s.primitive = dnnl::softmax_forward(
        dnnl::softmax_forward::primitive_desc(s.engine, dnnl::prop_kind::forward_inference,
                                              dnnl::algorithm::softmax_log, shape, shape, 1));
#else
    s.primitive = dnnl::logsoftmax_forward(dnnl::logsoftmax_forward::primitive_desc(
        {dnnl::prop_kind::forward_inference, shape, 1}, s.engine));
#endif
}

const char* onednn::version() {
    return PREFOPT_BENCH_VERSION(DNNL_VERSION_MAJOR, DNNL_VERSION_MINOR, DNNL_VERSION_PATCH);
}

onednn::~onednn() = default;
onednn::onednn(onednn&&) noexcept = default;

double onednn::forward(const std::int64_t* labels, int threads) {
    state& s = *state_;
    omp_set_num_threads(threads);
    s.primitive.execute(s.stream, {{DNNL_ARG_SRC, s.from}, {DNNL_ARG_DST, s.to}});
    s.stream.wait();
    double sum = 0;
    for (std::ptrdiff_t r = 0; r < s.rows; ++r) sum += s.at(r * s.vocab + labels[r]);
    return sum;
}

}  // namespace prefopt_bench
