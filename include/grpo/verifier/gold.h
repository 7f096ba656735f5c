#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "grpo/verifier/verifier.h"

namespace grpo::verifier {

/// What a gold answer of a data set says, and how it was found: the data may hold a worked solution.
struct GoldAnswer {
  std::string text;
  std::string
      rule;  // "box", "answer tag", "####", "phrase", "math" (a sentence that only leads to its formula), "whole"
};
GoldAnswer extract_gold(std::string_view gold);

/// Golds that stand for a missing answer in public data ("proof", "not found") or in what tools write ("nan", "None").
/// In any case of letters, also as \text{...}.
const std::vector<std::string>& default_placeholders();
bool is_placeholder(std::string_view gold, const std::vector<std::string>& placeholders);

/// verify() against the first of several right answers that accepts the response; else the verdict against the first.
Verdict verify_any(const std::vector<std::string>& golds, std::string_view text, const VerifierConfig& config = {});

/// What a gold answer is compared as: nothing, one text with another, the last number of a response, or its final
/// answer.
enum class GoldUse { kNone, kText, kNumber, kAnswer };

/// Golds with which training would go wrong: no right completion would be judged right, or there is no answer.
struct BadGold {
  size_t index = 0;      // into the list that was checked
  bool missing = false;  // empty, or a placeholder
  Verdict verdict;       // why
};

/// Asks of every problem what training will ask: whether a completion that boxes the right answer is judged right. Of a
/// sentence in which no rule finds the answer, that is the number or formula it ends with. Problems, records and texts
/// that were cut off are no answers although they equal themselves; of texts (GoldUse::kText) only empty ones are bad,
/// of numbers also those that are none. golds: one or several right answers a problem, one of which must do. In the
/// order of the list.
std::vector<BadGold> check_golds(const std::vector<std::vector<std::string>>& golds,
                                 const std::vector<std::string>& placeholders, const VerifierConfig& config = {},
                                 GoldUse use = GoldUse::kAnswer);

}  // namespace grpo::verifier
