#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "data/problem_row.h"

namespace grpo::data {

/// Reads a row of preferences into problem.prompt, problem.answers (the better completion) and problem.rejected (the
/// worse one). A completion is a text, or a list of chat messages that ends in a message of the assistant. The
/// prompt is the value of keys.prompt or, where the row has no such key, of "prompt". If both lists begin with the
/// same messages, these are the prompt instead, and a prompt of the row must ask the same. Throws base::IoError
/// naming the place and what is wrong.
void read_preference(const nlohmann::json& row, const ProblemKeys& keys, const std::string& place, Problem& problem);

}  // namespace grpo::data
