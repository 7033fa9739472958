// SPDX-License-Identifier: Apache-2.0
//
// A small causal language model over bytes (after Bengio et al., 2003): what is read is embedded,
// joined and passed through two hidden layers to one logit per next byte. It reads the last W bytes
// and two bytes of the prompt: those that follow where it holds the latest three and six bytes - an
// attention head that copies, done by looking. Answers repeat their prompts, and a model of this
// size could not. A row depends on its own slots only, so a batch of answers is one tall matrix,
// prompts cost next to nothing, and the work is a handful of matrix products.
//
// Letters: N scored bytes, S = W + 2 slots, E embedding, H hidden, V = 256 next bytes.
//     x = embeddings of the S slots, joined              (N, S*E)
//     h1 = silu(x w1 + b1), h2 = h1 + silu(h1 w2 + b2)   (N, H)
//     logits = dropout(h2) w3 + b3                       (N, V)
// The scalar is a template parameter so that a test can check the gradient in double.

#pragma once

#include "random.hpp"

#include <Eigen/Core>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tiny {

inline constexpr Eigen::Index vocabulary = 256;
inline constexpr std::size_t recall_lengths[] = {3, 6};  // bytes to find in the prompt
inline constexpr Eigen::Index recalls = 2;

struct model_shape {
    Eigen::Index window = 8;  // W
    Eigen::Index embedding = 16;
    Eigen::Index hidden = 256;

    Eigen::Index slots() const { return window + recalls; }
    Eigen::Index input() const { return slots() * embedding; }
    Eigen::Index parameters() const {
        return vocabulary * embedding + input() * hidden + hidden + hidden * hidden + hidden +
               hidden * vocabulary + vocabulary;
    }
};

template <class Scalar>
class byte_model {
public:
    using matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    using vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;

    // What one forward pass leaves behind for its backward pass. Reused between batches.
    struct workspace {
        std::vector<std::uint8_t> slots;  // (N, S): what each scored byte is predicted from
        matrix x, a1, h1, a2, h2, keep;   // keep (N, H): 0 or 1/(1 - dropout); empty without
        matrix logits;                    // (N, V): later onehot - softmax, see backward
        matrix d_h1, d_h2, d_x;

        Eigen::Index rows(const model_shape& shape) const {
            return static_cast<Eigen::Index>(slots.size()) / shape.slots();
        }
    };

    // The parameters as matrices, in one flat vector: what the optimizer, the frozen copy and the
    // trust region see is the vector, what the passes see is this.
    template <class S>
    struct layers_of {
        using weights = Eigen::Map<std::conditional_t<std::is_const_v<S>, const matrix, matrix>>;
        using biases =
            Eigen::Map<std::conditional_t<std::is_const_v<S>, const Eigen::RowVectorX<Scalar>,
                                          Eigen::RowVectorX<Scalar>>>;
        weights embed, w1, w2, w3;
        biases b1, b2, b3;

        layers_of(S* at, const model_shape& s)
            : embed(take(at, vocabulary * s.embedding), vocabulary, s.embedding),
              w1(take(at, s.input() * s.hidden), s.input(), s.hidden),
              w2(take(at, s.hidden * s.hidden), s.hidden, s.hidden),
              w3(take(at, s.hidden * vocabulary), s.hidden, vocabulary),
              b1(take(at, s.hidden), s.hidden),
              b2(take(at, s.hidden), s.hidden),
              b3(take(at, vocabulary), vocabulary) {}

    private:
        static S* take(S*& at, Eigen::Index count) {
            S* const here = at;
            at += count;
            return here;
        }
    };

    byte_model(const model_shape& shape, std::uint64_t seed)
        : shape_(shape), parameters_(vector::Zero(shape.parameters())) {
        random_source random(seed, stream::weights);
        layers_of<Scalar> layer(parameters_.data(), shape_);
        const auto fill = [&random](auto& weights, double deviation) {
            for (Eigen::Index i = 0; i < weights.size(); ++i) {
                weights.data()[i] = static_cast<Scalar>(deviation * random.normal());
            }
        };
        const auto spread = [](Eigen::Index inputs) {
            return std::sqrt(1.0 / static_cast<double>(inputs));
        };
        fill(layer.embed, 1.0);
        fill(layer.w1, spread(shape_.input()));
        fill(layer.w2, spread(shape_.hidden));
        fill(layer.w3, 0.5 * spread(shape_.hidden));
    }

    const model_shape& shape() const { return shape_; }
    vector& parameters() { return parameters_; }
    const vector& parameters() const { return parameters_; }

    // Fills work.logits (N, V) from work.slots. A null `random` means no dropout.
    void forward(workspace& work, double dropout = 0.0, random_source* random = nullptr) const {
        const layers_of<const Scalar> layer(parameters_.data(), shape_);
        const Eigen::Index rows = work.rows(shape_);
        work.x.resize(rows, shape_.input());
        for (Eigen::Index row = 0; row < rows; ++row) {
            for (Eigen::Index k = 0; k < shape_.slots(); ++k) {
                work.x.row(row).segment(k * shape_.embedding, shape_.embedding) =
                    layer.embed.row(byte_at(work, row, k));
            }
        }
        work.a1.noalias() = work.x * layer.w1;
        work.a1.rowwise() += layer.b1;
        work.h1 = silu(work.a1);
        work.a2.noalias() = work.h1 * layer.w2;
        work.a2.rowwise() += layer.b2;
        work.h2 = work.h1 + silu(work.a2);
        drop(work, dropout, random);
        work.logits.noalias() = work.h2 * layer.w3;
        work.logits.rowwise() += layer.b3;
    }

    // Adds d loss / d parameters to `gradient`, where `scale` (N) is d loss / d log-prob of each
    // row's sequence and work.logits holds onehot - softmax, the derivative of a row's log-prob
    // by its logits: the scale is applied to the (N, H) side, never to the (N, V) one.
    void backward(workspace& work, const vector& scale, vector& gradient) const {
        const layers_of<const Scalar> layer(parameters_.data(), shape_);
        layers_of<Scalar> d(gradient.data(), shape_);

        work.d_h2.noalias() = work.logits * layer.w3.transpose();
        work.d_h2.array().colwise() *= scale.array();
        work.h2.array().colwise() *= scale.array();
        d.w3.noalias() += work.h2.transpose() * work.logits;
        d.b3.noalias() += scale.transpose() * work.logits;
        if (work.keep.size() != 0) work.d_h2.array() *= work.keep.array();

        work.d_h1 = work.d_h2;
        work.d_h2.array() *= silu_slope(work.a2).array();
        d.w2.noalias() += work.h1.transpose() * work.d_h2;
        d.b2 += work.d_h2.colwise().sum();
        work.d_h1.noalias() += work.d_h2 * layer.w2.transpose();

        work.d_h1.array() *= silu_slope(work.a1).array();
        d.w1.noalias() += work.x.transpose() * work.d_h1;
        d.b1 += work.d_h1.colwise().sum();
        work.d_x.noalias() = work.d_h1 * layer.w1.transpose();
        for (Eigen::Index row = 0; row < work.d_x.rows(); ++row) {
            for (Eigen::Index k = 0; k < shape_.slots(); ++k) {
                d.embed.row(byte_at(work, row, k)) +=
                    work.d_x.row(row).segment(k * shape_.embedding, shape_.embedding);
            }
        }
    }

private:
    Eigen::Index byte_at(const workspace& work, Eigen::Index row, Eigen::Index k) const {
        return work.slots[static_cast<std::size_t>(row * shape_.slots() + k)];
    }

    // x sigmoid(x), the sigmoid written with the hyperbolic tangent, which Eigen vectorises.
    static auto gate(const matrix& a) {
        return (a.array() * Scalar(0.5)).tanh() * Scalar(0.5) + Scalar(0.5);
    }
    static matrix silu(const matrix& a) { return a.array() * gate(a); }
    static matrix silu_slope(const matrix& a) {
        const matrix s = gate(a);
        return s.array() * (Scalar(1) + a.array() * (Scalar(1) - s.array()));
    }

    static void drop(workspace& work, double dropout, random_source* random) {
        if (random == nullptr || dropout <= 0.0) {
            work.keep.resize(0, 0);
            return;
        }
        work.keep.resize(work.h2.rows(), work.h2.cols());
        const auto limit = static_cast<std::uint64_t>(dropout * 65536.0);  // 16 bits a decision
        const auto kept = static_cast<Scalar>(1.0 / (1.0 - dropout));
        std::uint64_t bits = 0;
        for (Eigen::Index i = 0; i < work.keep.size(); ++i) {
            bits = i % 4 == 0 ? random->bits() : bits >> 16U;
            work.keep.data()[i] = (bits & 0xFFFFU) < limit ? Scalar(0) : kept;
        }
        work.h2.array() *= work.keep.array();
    }

    model_shape shape_;
    vector parameters_;
};

}  // namespace tiny
