#pragma once

#include <cstddef>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace grpo::io {

/// JSON nested deeper than this is refused, since copying or writing it could overflow the stack.
inline constexpr size_t kMaxJsonDepth = 512;

/// One JSON document. read_json and JsonlReader use this too, so every JSON text from outside is parsed here. `where`
/// begins the message of an error. Throws base::IoError when the text is malformed or nested deeper than kMaxJsonDepth.
nlohmann::json parse_json(std::string_view text, const std::string& where);
/// Like parse_json, but keeps the order of the keys.
nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& where);

/// How deep brackets nest outside of strings. check_json_depth throws base::IoError when that is more than
/// kMaxJsonDepth; it is for callers that do not parse by parse_json.
size_t json_depth(std::string_view text);
void check_json_depth(std::string_view text, const std::string& where);

/// Hands the members of one JSON object to `take` one by one, so that a large object is never held as a whole. A member
/// whose name `skips` accepts is not handed out. Throws base::IoError like parse_json, and also when the text is not an
/// object or a member has more than `max_values` values.
struct MemberLimits {
  size_t max_values = 1000;
  std::function<bool(const std::string& name)> skips = {};
};
void for_each_json_member(std::string_view text, const std::string& where, const MemberLimits& limits,
                          const std::function<void(const std::string& name, const nlohmann::json& value)>& take);

}  // namespace grpo::io
