#pragma once

#include <cstddef>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace grpo::io {

/// Copying or writing a value that is nested deeper could overflow the stack.
inline constexpr size_t kMaxJsonDepth = 512;

/// One JSON document. Every JSON text that comes from outside is read here, by read_json and JsonlReader too. `where`
/// begins the message of an error. Throws base::IoError when it is malformed or nested deeper than kMaxJsonDepth.
nlohmann::json parse_json(std::string_view text, const std::string& where);
/// The same, keeping the order of keys.
nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& where);

/// How deep brackets nest outside of strings, and for those who parse by other means: throws base::IoError where that
/// is deeper than kMaxJsonDepth.
size_t json_depth(std::string_view text);
void check_json_depth(std::string_view text, const std::string& where);

/// The members of one JSON object in turn, so that a large one is never held as a whole. Of a member that `skips` only
/// the name is seen. Throws base::IoError as parse_json, where the text is no object, and for a member of more than
/// `max_values` values.
struct MemberLimits {
  size_t max_values = 1000;
  std::function<bool(const std::string& name)> skips = {};
};
void for_each_json_member(std::string_view text, const std::string& where, const MemberLimits& limits,
                          const std::function<void(const std::string& name, const nlohmann::json& value)>& take);

}  // namespace grpo::io
