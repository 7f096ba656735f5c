#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace grpo::data {

/// Parses JSON with each number that is no 64-bit integer as a string of its own characters, which a double would lose
/// (an answer "2.50" or 30 digits of pi). REQUIRES: `text` is valid JSON.
nlohmann::json parse_with_number_texts(std::string_view text);

}  // namespace grpo::data
