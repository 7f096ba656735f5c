#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace grpo::base {

/// The candidate with the smallest edit distance to `name`, or "" when none is near (distance above a third of it).
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

/// " (did you mean X?)", or " (known: a, b, c)" when nothing is near. For the end of an error message.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates);

/// Without the white space at both ends.
std::string_view trimmed(std::string_view text);

std::string join(const std::vector<std::string>& parts, std::string_view separator);

/// Up to the first line break: what an exception of LibTorch says before its stack.
std::string first_line(std::string_view text);

}  // namespace grpo::base
