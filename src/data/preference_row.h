#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "data/problem_row.h"

namespace grpo::data {

/// Sets the prompt, answers (the better completion) and rejected (the worse one) of a row of preferences. A completion
/// is a text, or a list of chat messages that ends in one of the assistant's. The prompt is the value of keys.prompt,
/// or where that is not there of "prompt"; messages with which both lists begin take its place, or where there is none
/// are it. Throws base::IoError naming the place and what is wrong.
void read_preference(const nlohmann::json& row, const ProblemKeys& keys, const std::string& place, Problem& problem);

}  // namespace grpo::data
