// SPDX-License-Identifier: Apache-2.0
//
// The reader works in two layers. A scanner of our own finds where each object begins and ends, so
// that the line is known whatever is wrong inside; nlohmann-json then parses that one object. JSON
// lines and arrays differ only in how the scanner moves on. UTF-8 is checked for the whole file
// before anything else, because a parser would blame the wrong byte.

#include "data.hpp"

#include "random.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

namespace tiny {
namespace {

constexpr const char* expected_object =
    R"(expected an object like {"prompt": "...", "chosen": "...", "rejected": "..."})";

[[noreturn]] void fail(const std::string& name, std::size_t line, const std::string& sentence) {
    throw data_error(name + ", line " + std::to_string(line) + ": " + sentence);
}

std::size_t line_at(std::string_view text, std::size_t position) {
    const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(position, text.size()));
    return 1 + static_cast<std::size_t>(std::count(text.begin(), end, '\n'));
}

// The length of the UTF-8 character at the front of `s`, or 0 where there is none: overlong forms,
// surrogates and code points above U+10FFFF are refused, as RFC 3629 says.
std::size_t utf8_length(std::string_view s) {
    const auto byte = [s](std::size_t i) { return static_cast<unsigned char>(s[i]); };
    const unsigned lead = byte(0);
    if (lead < 0x80) return 1;
    const std::size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                               : lead >= 0xE0 && lead <= 0xEF ? 3
                               : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                              : 0;
    if (length == 0 || s.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0U) != 0x80) return 0;
    }
    const unsigned second = byte(1);
    if (lead == 0xE0 && second < 0xA0) return 0;
    if (lead == 0xED && second > 0x9F) return 0;
    if (lead == 0xF0 && second < 0x90) return 0;
    if (lead == 0xF4 && second > 0x8F) return 0;
    return length;
}

void check_utf8(std::string_view text, const std::string& name) {
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = utf8_length(text.substr(at));
        if (length == 0) {
            constexpr char digits[] = "0123456789ABCDEF";
            const auto bad = static_cast<unsigned char>(text[at]);
            const std::size_t start = at == 0 ? std::string_view::npos : text.rfind('\n', at - 1);
            const std::size_t column = start == std::string_view::npos ? at + 1 : at - start;
            fail(name, line_at(text, at),
                 std::string("byte 0x") + digits[bad >> 4U] + digits[bad & 15U] + " at column " +
                     std::to_string(column) + " is not UTF-8; expected UTF-8 text");
        }
        at += length;
    }
}

std::string text_of(const nlohmann::json& object, const char* key, const std::string& name,
                    std::size_t line) {
    const auto found = object.find(key);
    if (found == object.end()) {
        fail(name, line, std::string("the key \"") + key + "\" is missing; " + expected_object);
    }
    if (!found->is_string()) {
        fail(name, line, std::string("\"") + key + "\" is not a string; " + expected_object);
    }
    auto text = found->get<std::string>();
    const bool reserved = std::any_of(text.begin(), text.end(), [](char c) {
        return c == '\0' || c == answer_begins || c == answer_ends;
    });
    if (reserved) {
        fail(name, line,
             std::string("\"") + key + "\" contains U+0000, U+0002 or U+0003, which the model " +
                 "uses as marks; expected text without them");
    }
    return text;
}

preference preference_of(const nlohmann::json& object, const std::string& name, std::size_t line) {
    if (!object.is_object()) fail(name, line, std::string("not an object; ") + expected_object);
    preference pair;
    if (!object.contains("prompt") && object.contains("instruction")) {
        pair.prompt = text_of(object, "instruction", name, line);
        if (object.contains("input")) {
            const std::string input = text_of(object, "input", name, line);
            if (!input.empty()) pair.prompt += "\n" + input;
        }
    } else {
        pair.prompt = text_of(object, "prompt", name, line);
    }
    pair.chosen = text_of(object, "chosen", name, line);
    pair.rejected = text_of(object, "rejected", name, line);
    const std::pair<const char*, const std::string*> texts[] = {
        {"prompt", &pair.prompt}, {"chosen", &pair.chosen}, {"rejected", &pair.rejected}};
    for (const auto& [key, text] : texts) {
        if (text->empty()) {
            fail(name, line,
                 std::string("the ") + key + " text is empty; expected at least one character");
        }
    }
    return pair;
}

preference parse_object(std::string_view text, const std::string& name, std::size_t line) {
    nlohmann::json object;
    try {
        object = nlohmann::json::parse(text.begin(), text.end());
    } catch (const nlohmann::json::parse_error& error) {
        const std::size_t at = error.byte == 0 ? 0 : error.byte - 1;
        fail(name, line + line_at(text, at) - 1, std::string("not valid JSON; ") + expected_object);
    } catch (const nlohmann::json::exception&) {  // a number that fits no double, say
        fail(name, line, std::string("a value that cannot be read; ") + expected_object);
    }
    return preference_of(object, name, line);
}

bool blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::size_t skip_blanks(std::string_view text, std::size_t at) {
    while (at < text.size() && blank(text[at])) ++at;
    return at;
}

// One past the brace that closes the object opened at `begin`, or npos.
std::size_t end_of_object(std::string_view text, std::size_t begin) {
    std::size_t depth = 0;
    bool in_string = false;
    for (std::size_t at = begin; at < text.size(); ++at) {
        const char c = text[at];
        if (in_string) {
            if (c == '\\') {
                ++at;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{') {
            ++depth;
        } else if (c == '}' && --depth == 0) {
            return at + 1;
        }
    }
    return std::string_view::npos;
}

std::vector<preference> parse_array(std::string_view text, std::size_t at,
                                    const std::string& name) {
    std::vector<preference> pairs;
    std::size_t line = line_at(text, at);
    std::size_t counted = at;
    at = skip_blanks(text, at + 1);
    while (true) {
        if (at < text.size() && text[at] == ']' && pairs.empty()) break;
        if (at >= text.size() || text[at] != '{') {
            fail(name, line_at(text, at), expected_object);
        }
        line += line_at(text.substr(counted, at - counted), at - counted) - 1;
        counted = at;
        const std::size_t end = end_of_object(text, at);
        if (end == std::string_view::npos) {
            fail(name, line, "the object that begins here is not closed; expected }");
        }
        pairs.push_back(parse_object(text.substr(at, end - at), name, line));
        at = skip_blanks(text, end);
        if (at < text.size() && text[at] == ']') break;
        if (at >= text.size() || text[at] != ',') {
            fail(name, line_at(text, at), "expected , or ] after an object of the array");
        }
        at = skip_blanks(text, at + 1);
    }
    at = skip_blanks(text, at + 1);
    if (at < text.size()) {
        fail(name, line_at(text, at), "text after the array; expected the end of the file");
    }
    return pairs;
}

std::vector<preference> parse_lines(std::string_view text, const std::string& name) {
    std::vector<preference> pairs;
    for (std::size_t at = 0, line = 1; at < text.size(); ++line) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string_view row = text.substr(at, end - at);
        if (skip_blanks(row, 0) < row.size()) pairs.push_back(parse_object(row, name, line));
        at = end + 1;
    }
    return pairs;
}

}  // namespace

sequence make_sequence(std::string_view prompt, std::string_view answer) {
    sequence out;
    out.bytes.reserve(prompt.size() + answer.size() + 2);
    out.bytes.append(prompt).push_back(answer_begins);
    out.answer = out.bytes.size();
    out.bytes.append(answer).push_back(answer_ends);
    return out;
}

std::vector<preference> parse_preferences(std::string_view text, const std::string& name) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // a byte order mark
    check_utf8(text, name);
    const std::size_t first = skip_blanks(text, 0);
    if (first == text.size()) {
        throw data_error(name +
                         ": the file is empty; expected a JSON array or JSON lines of "
                         "objects with prompt, chosen and rejected");
    }
    auto pairs = text[first] == '[' ? parse_array(text, first, name) : parse_lines(text, name);
    if (pairs.size() < fewest_pairs) {
        throw data_error(name + ": the file holds " + std::to_string(pairs.size()) +
                         " pairs; expected at least " + std::to_string(fewest_pairs));
    }
    return pairs;
}

std::vector<preference> read_preferences(const std::filesystem::path& file) {
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored) || std::filesystem::is_directory(file, ignored)) {
        throw data_error(file.string() +
                         ": there is no such file; expected a JSON array or JSON "
                         "lines of preferences");
    }
    std::ifstream in(file, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    if (!in) {
        throw data_error(file.string() + ": the file cannot be read; expected a readable file");
    }
    return parse_preferences(text, file.string());
}

split split_preferences(std::vector<preference> pairs, double held_out, std::uint64_t seed) {
    shuffle(pairs, random_source(seed, stream::split));
    const auto wanted = static_cast<std::size_t>(held_out * static_cast<double>(pairs.size()));
    const std::size_t kept = std::clamp<std::size_t>(wanted, 1, pairs.size() - 1);
    const auto border = pairs.end() - static_cast<std::ptrdiff_t>(kept);
    split out;
    out.held_out.assign(std::make_move_iterator(border), std::make_move_iterator(pairs.end()));
    pairs.erase(border, pairs.end());
    out.training = std::move(pairs);
    return out;
}

}  // namespace tiny
