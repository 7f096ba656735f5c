#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grpo/reward/reward.h"

namespace grpo::reward {

struct TermValue {
  double value = 0.0;
  std::optional<verifier::Verdict> verdict = std::nullopt;
  std::string failure = {};                                  // why the value is not known; empty when it is known
  std::vector<std::pair<std::string, double>> metrics = {};  // further numbers of a grader, by name
};

/// A term of the reward: computes one value per completion. Thread-safe.
class Term {
 public:
  virtual ~Term() = default;
  /// The values of all items, in their order.
  virtual std::vector<TermValue> values(std::span<const Item> items) const = 0;
  /// How many batches can be scored at the same time.
  virtual int concurrency() const { return 1; }
  /// RewardFunction::cancel() of this term.
  virtual void cancel() const {}
};

/// A term that looks at each item alone.
class ItemTerm : public Term {
 public:
  std::vector<TermValue> values(std::span<const Item> items) const final {
    std::vector<TermValue> values;
    for (const Item& item : items) values.push_back(value(item));
    return values;
  }

 private:
  virtual TermValue value(const Item& item) const = 0;
};

/// Makes a term of any type; the table of all types is its switch. `name` is the term's name in messages. Throws
/// base::ConfigError when the term cannot be made.
std::unique_ptr<Term> make_term(const RewardTerm& term, const std::string& name,
                                const verifier::VerifierOptions& verifier);

/// A term whose values other programs compute (grader_term.cpp). Throws base::ConfigError when they cannot be started.
std::unique_ptr<Term> make_grader_term(const RewardTerm& term, const std::string& name);

}  // namespace grpo::reward
