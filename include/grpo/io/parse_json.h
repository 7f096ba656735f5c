#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace grpo::io {

/// Copying or writing a value that is nested deeper could overflow the stack.
inline constexpr size_t kMaxJsonDepth = 512;

/// One JSON document. Every JSON text that comes from outside is read here, by read_json and JsonlReader too. `where` begins
/// the message of an error. Throws base::IoError when it is malformed or nested deeper than kMaxJsonDepth.
nlohmann::json parse_json(std::string_view text, const std::string& where);
/// The same, keeping the order of keys.
nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& where);

}  // namespace grpo::io
