#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "grpo/verifier/verifier.h"

namespace grpo::verifier {

/// The answer in the gold text of a data set, which may be a whole worked solution that ends in it.
struct GoldAnswer {
  std::string text;
  // Which rule found it: "box", "answer tag", "####", "phrase", "math" (a sentence that only leads to its formula), or
  // "whole" when no rule applied and `text` is all of the gold text.
  std::string rule;
};
GoldAnswer extract_gold(std::string_view gold);

/// Texts that public data sets ("proof", "not found") and tools ("nan", "None") write where an answer is missing.
const std::vector<std::string>& default_placeholders();
/// Whether `gold` is one of `placeholders`. Case, final full stops and a \boxed{} or \text{} round it do not matter.
bool is_placeholder(std::string_view gold, const std::vector<std::string>& placeholders);

/// The verdict against the first of several right answers that accepts the response; when none does, the verdict
/// against golds[0].
Verdict verify_any(const std::vector<std::string>& golds, std::string_view text, const VerifierOptions& options = {});

/// What of a response a reward compares with the gold answer: nothing, its text, its last number or its final answer.
enum class GoldUse { kNone, kText, kNumber, kAnswer };

/// A problem that cannot be trained on: it has no gold answer, or a completion that boxes it would not be judged right.
struct BadGold {
  size_t index = 0;      // of the problem in the list that was checked
  bool missing = false;  // every gold answer is empty or a placeholder
  Verdict verdict;       // its reason says what is wrong
};

/// Asks of every problem what training will ask: is a completion that boxes the gold answer judged right? For a
/// sentence in which no rule finds the answer, the completion boxes the formula or number that the sentence ends with.
/// Exercises, records such as {"ground_truth": "34"} and texts that were cut off are bad although verify() finds them
/// equal to themselves. With GoldUse::kText only empty golds are bad; with kNumber also golds that hold no number.
/// golds: per problem one or several right answers, one of which has to pass. Returns the bad problems in this order.
std::vector<BadGold> check_golds(const std::vector<std::vector<std::string>>& golds,
                                 const std::vector<std::string>& placeholders, const VerifierOptions& options = {},
                                 GoldUse use = GoldUse::kAnswer);

}  // namespace grpo::verifier
