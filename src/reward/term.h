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
  std::string failure = {};                                  // why the value is not known; empty when it is
  std::vector<std::pair<std::string, double>> metrics = {};  // further figures by name
};

/// One kind of reward. Thread-safe.
class Term {
 public:
  virtual ~Term() = default;
  /// Of every item, in their order.
  virtual std::vector<TermValue> values(std::span<const Item> items) const = 0;
  /// How many batches it can score at the same time.
  virtual int concurrency() const { return 1; }
};

/// A kind of reward that looks at one item alone.
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

/// The table of reward types. name: what messages call the term. Throws base::ConfigError when it cannot be made.
std::unique_ptr<Term> make_term(const RewardTerm& term, const std::string& name,
                                const verifier::VerifierConfig& verifier);

/// A term whose values other programs compute (grader_term.cpp). Throws base::ConfigError when they cannot be started.
std::unique_ptr<Term> make_grader_term(const RewardTerm& term, const std::string& name);

}  // namespace grpo::reward
