#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace grpo::base {

/// The candidate with the smallest edit distance to `name`, or "" when even that distance is above 2 and above a
/// third of the length of `name`.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

/// The end of an error message about an unknown name: " (did you mean X?)", or " (known: a, b,
/// c)" when no candidate is near.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates);

/// `text` without the white space at both ends.
std::string_view trimmed(std::string_view text);

std::string join(const std::vector<std::string>& parts, std::string_view separator);

/// The text up to the first line break. LibTorch's exceptions have their message there and a stack trace below it.
std::string first_line(std::string_view text);

}  // namespace grpo::base
