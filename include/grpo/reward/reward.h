#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "grpo/base/fields.h"
#include "grpo/reward/verifier.h"

namespace grpo::reward {

enum class TermType {
  kMath,     // 1 when the verifier says right, else 0
  kExact,    // 1 when the trimmed response equals the trimmed gold
  kNumeric,  // 1 when the last number of the response equals the gold
  kFormat,   // 1 when the response holds a complete \boxed{}
  kLength,   // tokens of the completion; with a negative weight long answers cost
};
inline std::vector<std::string> enum_names(TermType) { return {"math", "exact", "numeric", "format", "length"}; }

struct RewardTerm {
  TermType type = TermType::kMath;
  double weight = 1.0;
  GRPO_FIELDS(f) {
    f("type", type, "what the term measures");
    f("weight", weight, "factor in the sum");
  }
};

struct RewardConfig {
  std::vector<RewardTerm> terms = {RewardTerm{}};
  GRPO_FIELDS(f) { f("terms", terms, "weighted terms; the reward is their sum"); }
};

/// One completion to score.
struct Answer {
  std::string gold;
  std::string text;
  bool truncated = false;  // ended at the length limit
  int64_t num_tokens = 0;
};

struct Score {
  double reward = 0.0;
  Verdict verdict;  // of the first term that compares with the gold answer
};

/// Thread-safe.
class RewardFunction {
 public:
  virtual ~RewardFunction() = default;
  virtual Score score(const Answer& answer) const = 0;
};

/// Throws base::ConfigError when there is no term.
std::unique_ptr<RewardFunction> make_reward(const RewardConfig& config);

}  // namespace grpo::reward
