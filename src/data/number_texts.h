#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace grpo::data {

/// Parses JSON so that each number that is not a 64-bit integer becomes a string of its own characters. A double would
/// lose some of them, as in an answer "2.50" or 30 digits of pi. REQUIRES: `text` is valid JSON.
nlohmann::json parse_with_number_texts(std::string_view text);

}  // namespace grpo::data
