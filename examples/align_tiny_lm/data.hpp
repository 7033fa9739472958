// SPDX-License-Identifier: Apache-2.0
//
// Reading preference data. A file is a JSON array of objects or JSON lines (one object per line).
// An object names its texts either prompt/chosen/rejected or instruction/input/chosen/rejected
// (input may be missing or empty). Whatever is wrong with a file is thrown as `data_error`, one
// sentence that names the file, the line and what was expected there: a user with a 5,000-line
// file needs the line, not the position inside a parser.

#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace tiny {

class data_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

struct preference {
    std::string prompt;
    std::string chosen;
    std::string rejected;
};

// Two bytes no text needs are taken for the model's own use: they end the prompt and the answer.
inline constexpr char answer_begins = '\x02';
inline constexpr char answer_ends = '\x03';

// A prompt and its answer as the model reads them: prompt, answer_begins, answer, answer_ends. The
// bytes from `answer` on are scored, the prompt only conditions them.
struct sequence {
    std::string bytes;
    std::size_t answer = 0;

    std::size_t scored() const { return bytes.size() - answer; }
};

sequence make_sequence(std::string_view prompt, std::string_view answer);

struct split {
    std::vector<preference> training;
    std::vector<preference> held_out;
};

inline constexpr std::size_t fewest_pairs = 8;

// The text of a file in memory, `name` being what the sentences call it.
std::vector<preference> parse_preferences(std::string_view text, const std::string& name);
std::vector<preference> read_preferences(const std::filesystem::path& file);

// A seeded shuffle, then the last `held_out` share (at least one pair) is kept from training.
split split_preferences(std::vector<preference> pairs, double held_out, std::uint64_t seed);

}  // namespace tiny
