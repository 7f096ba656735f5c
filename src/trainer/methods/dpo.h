#pragma once

#include <cstdint>
#include <vector>

#include "trainer/methods/sft.h"
#include "trainer/reference_log_probs.h"

namespace grpo::trainer {

/// The ids of both completions of each prompt, gold and rejected, as written_completions() makes them. Leaves out pairs
/// of which one is longer than most_tokens, and those whose completions are the same, with a warning. Throws
/// base::ConfigError when none is left.
struct WrittenPairs {
  std::vector<std::vector<int64_t>> chosen, rejected;
};
WrittenPairs written_pairs(const Policy& policy, std::vector<Prompt>& prompts, int64_t most_tokens,
                           bool special_tokens);

/// Direct preference optimization (arXiv 2305.18290) on written pairs: the mean over pairs of the loss of
/// algorithm.dpo. The rest is as in supervised fine-tuning.
class Dpo : public Sft {
 public:
  /// All that is given outlives it. references: of each prompt.
  Dpo(const TrainConfig& config, Policy& policy, const std::vector<Prompt>& prompts, const WrittenPairs& pairs,
      const std::vector<ReferencePair>& references);

  metrics::MetricsLine measures() const override;

 protected:
  update::Batch batch_of(const StepCall& call, const std::vector<size_t>& examples) const override;
  std::vector<int64_t> lengths_of(size_t example) const override;

 private:
  const WrittenPairs& pairs_;
  const std::vector<ReferencePair>& references_;
};

}  // namespace grpo::trainer
