// SPDX-License-Identifier: Apache-2.0
//
// The example's own parts: the model's gradient against central differences, the reader's
// sentences, the seam to prefopt, and that a seed decides the table.

#include "catch.hpp"

#include "data.hpp"
#include "experiment.hpp"
#include "model.hpp"
#include "options.hpp"
#include "report.hpp"
#include "scoring.hpp"

#include <prefopt/adapters/eigen.hpp>
#include <prefopt/dpo.hpp>
#include <prefopt/executors/thread_pool.hpp>
#include <prefopt/log_probs.hpp>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace {

using tiny::byte_model;
using tiny::sequence;

const tiny::model_shape small{.window = 3, .embedding = 2, .hidden = 4};

// Two pairs whose texts share bytes, so that rows of the embedding collect several gradients.
std::vector<sequence> four_answers() {
    return {tiny::make_sequence("say ab", "ab ab"), tiny::make_sequence("and", "please"),
            tiny::make_sequence("say ab", "ba"), tiny::make_sequence("and", "no, no")};
}

template <class Scalar>
struct scored_batch {
    tiny::packed rows;
    typename byte_model<Scalar>::workspace work;
};

template <class Scalar>
scored_batch<Scalar> packed_batch(const tiny::model_shape& shape) {
    const auto answers = four_answers();
    std::vector<const sequence*> pointers;
    for (const auto& answer : answers) pointers.push_back(&answer);
    scored_batch<Scalar> out{tiny::pack(pointers, shape.window), {}};
    out.work.slots = out.rows.slots;
    return out;
}

std::vector<double> as_vector(const Eigen::VectorXd& values) {
    return {values.begin(), values.end()};
}

// The DPO loss of the four answers under `model`, and d loss / d log-prob of each.
struct dpo_of_four {
    double loss = 0.0;
    std::vector<double> gradient;
};

dpo_of_four judge(const std::vector<double>& log_probs) {
    const std::vector<double> chosen{log_probs[0], log_probs[1]};
    const std::vector<double> rejected{log_probs[2], log_probs[3]};
    const std::vector<double> reference{-20.0, -25.0};
    const auto result = prefopt::dpo{.beta = 0.3}(chosen, rejected, reference, reference);
    return {result.loss,
            {result.grad_chosen[0], result.grad_chosen[1], result.grad_rejected[0],
             result.grad_rejected[1]}};
}

double loss_of(const byte_model<double>& model) {
    auto batch = packed_batch<double>(model.shape());
    model.forward(batch.work);
    return judge(as_vector(prefopt::sequence_log_probs(batch.work.logits, batch.rows.labels,
                                                       {.offsets = batch.rows.offsets})
                               .sum))
        .loss;
}

// Rows of the batch -> the coefficient of the sequence each belongs to.
template <class Vector>
Vector spread(const tiny::packed& rows, const std::vector<double>& coefficients) {
    Vector out(static_cast<Eigen::Index>(rows.labels.size()));
    for (std::size_t b = 0; b + 1 < rows.offsets.size(); ++b) {
        out.segment(rows.offsets[b], rows.offsets[b + 1] - rows.offsets[b])
            .setConstant(static_cast<typename Vector::Scalar>(coefficients[b]));
    }
    return out;
}

std::string refusal(const std::string& text) {
    try {
        tiny::parse_preferences(text, "pairs.json");
    } catch (const tiny::data_error& error) {
        return error.what();
    }
    return "";
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

const std::string good = R"({"prompt": "p", "chosen": "c", "rejected": "r"})";

std::string lines(int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += good + "\n";
    return out;
}

tiny::options parse(std::vector<std::string> words) {
    words.insert(words.begin(), "align_tiny_lm");
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    return tiny::parse_options(static_cast<int>(arguments.size()), arguments.data());
}

std::vector<tiny::preference> polite_pairs() {
    std::vector<tiny::preference> out;
    for (int i = 0; i < 24; ++i) {
        const std::string n = std::to_string(i);
        out.push_back({"Add 1 to " + n, "Gladly: it is " + n + " and 1.", "Ugh, " + n + " and 1"});
    }
    return out;
}

tiny::options tiny_run(const std::string& loss, const std::string& reference) {
    return parse({"--loss", loss, "--reference", reference, "--every", "2", "--epochs", "2",
                  "--tuning-epochs", "2", "--hidden", "16", "--embedding", "4", "--beta", "0.1,0.5",
                  "--batch", "8"});
}

std::string table_of(const tiny::options& settings) {
    auto quiet = settings;
    quiet.training.quiet = true;
    const auto found = tiny::run_experiment(quiet, polite_pairs());
    return tiny::table(found, false) + tiny::answers_text(found);
}

}  // namespace

TEST_CASE("the model's gradient is that of central differences", "[align_tiny_lm]") {
    byte_model<double> model(small, 7);
    auto batch = packed_batch<double>(small);
    model.forward(batch.work);
    const auto scored = prefopt::sequence_log_probs_in_place(batch.work.logits, batch.rows.labels,
                                                             {.offsets = batch.rows.offsets});
    const auto verdict = judge(as_vector(scored.sum));
    Eigen::VectorXd gradient = Eigen::VectorXd::Zero(small.parameters());
    model.backward(batch.work, spread<Eigen::VectorXd>(batch.rows, verdict.gradient), gradient);

    const double step = 1e-5;
    double worst = 0.0;
    Eigen::Index checked = 0;
    for (Eigen::Index i = 0; i < small.parameters(); ++i) {
        const double kept = model.parameters()[i];
        model.parameters()[i] = kept + step;
        const double above = loss_of(model);
        model.parameters()[i] = kept - step;
        const double below = loss_of(model);
        model.parameters()[i] = kept;
        worst = std::max(worst, std::abs((above - below) / (2.0 * step) - gradient[i]));
        if (gradient[i] != 0.0) ++checked;
    }
    CHECK(worst < 1e-9);
    CHECK(checked > small.parameters() / 2);  // the rest are embeddings of bytes that do not occur
}

TEST_CASE("scaled directions are the gradient of the two-pass form", "[align_tiny_lm]") {
    const byte_model<double> model(small, 3);
    auto batch = packed_batch<double>(small);
    model.forward(batch.work);
    const auto& options = batch.rows;
    const Eigen::VectorXd coefficients = Eigen::Vector4d(0.5, -0.25, 2.0, 0.0);
    auto two_pass = batch.work.logits;
    prefopt::sequence_log_probs_backward(batch.work.logits, options.labels, coefficients, two_pass,
                                         {.offsets = options.offsets});
    const auto before = prefopt::sequence_log_probs(batch.work.logits, options.labels,
                                                    {.offsets = options.offsets});
    const auto after = prefopt::sequence_log_probs_in_place(batch.work.logits, options.labels,
                                                            {.offsets = options.offsets});
    const auto scale = spread<Eigen::VectorXd>(options, as_vector(coefficients));
    CHECK((before.sum - after.sum).cwiseAbs().maxCoeff() == 0.0);
    const auto one_pass = (batch.work.logits.array().colwise() * scale.array()).eval();
    CHECK((one_pass - two_pass.array()).abs().maxCoeff() < 1e-15);
}

TEST_CASE("the scorer's shards change neither log-probs nor the gradient", "[align_tiny_lm]") {
    const tiny::language_model model(small, 5);
    const auto answers = four_answers();
    std::vector<const sequence*> pointers;
    for (const auto& answer : answers) pointers.push_back(&answer);
    tiny::scorer scorer;
    const auto trained = scorer.forward(model, pointers, {});
    const std::vector<double> coefficients{0.5, -0.25, 2.0, 0.0};
    Eigen::VectorXf sharded = Eigen::VectorXf::Zero(small.parameters());
    scorer.backward(model, coefficients, sharded);

    auto batch = packed_batch<float>(small);
    model.forward(batch.work);
    const auto scored = prefopt::sequence_log_probs_in_place(batch.work.logits, batch.rows.labels,
                                                             {.offsets = batch.rows.offsets});
    Eigen::VectorXf whole = Eigen::VectorXf::Zero(small.parameters());
    model.backward(batch.work, spread<Eigen::VectorXf>(batch.rows, coefficients), whole);
    CHECK((sharded - whole).cwiseAbs().maxCoeff() < 1e-4F);
    for (std::size_t i = 0; i < trained.size(); ++i) {
        CHECK(std::abs(trained[i] - scored.sum[static_cast<Eigen::Index>(i)]) < 1e-4);
    }
    CHECK(trained == tiny::scorer().log_probs(model, answers));
}

TEST_CASE("JSON arrays and JSON lines, both spellings of the keys", "[align_tiny_lm]") {
    const auto from_lines = tiny::parse_preferences("\xEF\xBB\xBF\n" + lines(8) + "\r\n", "x");
    CHECK(from_lines.size() == 8);
    std::string array = "[\n";
    for (int i = 0; i < 8; ++i) {
        array += std::string(i == 0 ? "" : ",\n") +
                 R"({"instruction": "do {", "input": "\"it\"", "output": "", "chosen": "}",)" +
                 "\n" + R"("rejected": "caf\u00e9"})";
    }
    const auto from_array = tiny::parse_preferences(array + "]\n", "x");
    REQUIRE(from_array.size() == 8);
    CHECK(from_array[3].prompt == "do {\n\"it\"");
    CHECK(from_array[3].chosen == "}");
    CHECK(from_array[3].rejected == "caf\xC3\xA9");
}

TEST_CASE("a wrong file is refused with its line and what was expected", "[align_tiny_lm]") {
    CHECK(contains(refusal(""), "pairs.json: the file is empty; expected"));
    CHECK(contains(refusal(" \n"), "empty"));
    CHECK(contains(refusal(lines(3)), "holds 3 pairs; expected at least 8"));
    CHECK(contains(refusal(lines(9) + "{oops\n"), "pairs.json, line 10: not valid JSON"));
    CHECK(contains(refusal(lines(1) + "17\n"), "line 2: not an object"));
    CHECK(contains(refusal(lines(1) + R"({"prompt": "p", "rejected": "r"})"),
                   "line 2: the key \"chosen\" is missing"));
    CHECK(contains(refusal(R"({"prompt": 1, "chosen": "c", "rejected": "r"})"), "not a string"));
    CHECK(contains(refusal(R"({"prompt": "p", "chosen": "a\u0003", "rejected": "r"})"), "U+0003"));
    CHECK(contains(refusal("[" + good + ",\n" + good), "line 2: expected , or ]"));
    CHECK(contains(refusal("[" + good + ",\n"), "expected an object"));
    CHECK(contains(refusal("[\n{\"prompt\": "), "line 2: the object that begins here"));
    CHECK(contains(refusal("[" + good + "] x"), "text after the array"));
    for (const char* bad : {"\x80", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                            "\xE2\x82", "\xFF"}) {
        CHECK(contains(refusal(lines(2) + "  " + bad), "line 3: byte 0x"));
        CHECK(contains(refusal(lines(2) + "  " + bad), "at column 3 is not UTF-8; expected UTF-8"));
    }
    CHECK_THROWS_AS(tiny::read_preferences("/nonexistent/pairs.json"), tiny::data_error);
}

TEST_CASE("a wrong command line is refused", "[align_tiny_lm]") {
    CHECK_THROWS_AS(parse({"--beta", "0"}), tiny::usage_error);
    CHECK_THROWS_AS(parse({"--beta", "0.1,x"}), tiny::usage_error);
    CHECK_THROWS_AS(parse({"--loss", "dop"}), tiny::usage_error);
    CHECK_THROWS_AS(parse({"--unknown"}), tiny::usage_error);
    CHECK_THROWS_AS(parse({"--threads", "-1"}), tiny::usage_error);
    CHECK(parse({"--threads", "3"}).threads == 3);
    CHECK(parse({"--beta", "0.1,0.3"}).betas == std::vector<double>{0.1, 0.3});
    CHECK(contains(parse({"--help"}).help, "--beta"));
}

TEST_CASE("a seed decides the table", "[align_tiny_lm]") {
    for (const char* loss : {"dpo", "ipo", "kto", "plackett-luce"}) {
        for (const char* reference : {"fixed", "soft", "hard"}) {
            const auto settings = tiny_run(loss, reference);
            const auto first = table_of(settings);
            CHECK(first == table_of(settings));
            CHECK(contains(first, loss));
            CHECK(!contains(first, "nan"));
            auto other = settings;
            other.training.seed = 2;
            CHECK(first != table_of(other));
        }
    }
}

TEST_CASE("the number of threads changes nothing", "[align_tiny_lm]") {
    auto settings = tiny_run("dpo", "soft");
    settings.threads = 1;
    const auto serial = table_of(settings);
    for (const int threads : {0, 2, 3, 7}) {
        settings.threads = threads;
        CHECK(table_of(settings) == serial);
    }

    // The scores themselves, of batches that are no multiple of the shards, to the bit.
    const tiny::language_model model(tiny::model_shape{}, 5);
    std::vector<sequence> answers;
    for (int i = 0; i < 7; ++i) {
        answers.push_back(
            tiny::make_sequence("Count.", std::string(std::size_t(90 - 10 * i), 'x')));
    }
    prefopt::thread_pool pool({.threads = 3});
    for (const std::size_t size : {1U, 3U, 4U, 7U}) {
        std::vector<const sequence*> batch;
        for (std::size_t i = 0; i < size; ++i) batch.push_back(&answers[i]);
        const std::vector<double> coefficients(size, 0.5);
        Eigen::VectorXf alone = Eigen::VectorXf::Zero(model.parameters().size()), shared = alone;
        tiny::scorer serially, together(pool);
        CHECK(serially.log_probs(model, batch) == together.log_probs(model, batch));
        CHECK(serially.forward(model, batch, {0.5, 1, 2}) ==
              together.forward(model, batch, {0.5, 1, 2}));
        serially.backward(model, coefficients, alone);
        together.backward(model, coefficients, shared);
        CHECK(alone == shared);
    }
}

TEST_CASE("alignment raises the margin of a plain style", "[align_tiny_lm]") {
    auto settings = tiny_run("dpo", "fixed");
    settings.training.epochs = 8;
    settings.training.quiet = true;
    const auto found = tiny::run_experiment(settings, polite_pairs());
    for (const auto& run : found.runs) {
        CHECK(run.complete);
        CHECK(run.curve.front().held_out.margin == 0.0);
        CHECK(run.curve.back().held_out.margin > 0.1);
        CHECK(run.curve.back().held_out.reward_accuracy == 1.0);
        CHECK(run.curve.back().held_out.kl > 0.0);
    }
}
