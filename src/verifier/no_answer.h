#pragma once

#include <string>

namespace grpo::verifier {

/// Why a gold text is no answer but something else that a data set keeps: an exercise ("12+5=", "What is 3+4?",
/// "3+__=7"), a record ({"ground_truth": "34"}) or a text that was cut off. Empty when it may be an answer. Comparing
/// such a text with itself finds it right, so only its form shows that no completion will be.
std::string why_no_answer(const std::string& gold);

}  // namespace grpo::verifier
