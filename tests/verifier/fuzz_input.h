#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace grpo::testing {

/// A fuzzing input is a gold answer and a response with "\n====\n" between them; without it the input is both.
inline std::pair<std::string, std::string> split_fuzz_input(std::string_view input) {
  static constexpr std::string_view kBetween = "\n====\n";
  const size_t at = input.find(kBetween);
  if (at == std::string_view::npos) return {std::string(input), std::string(input)};
  return {std::string(input.substr(0, at)), std::string(input.substr(at + kBetween.size()))};
}

}  // namespace grpo::testing
