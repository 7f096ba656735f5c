#pragma once

#include <cstdint>
#include <vector>

#include "trainer/methods/sft.h"
#include "trainer/reference_log_probs.h"

namespace grpo::trainer {

/// The ids of the better and of the worse completion of each prompt.
struct WrittenPairs {
  std::vector<std::vector<int64_t>> chosen, rejected;
};

/// Makes the pairs of Prompt::gold and Prompt::rejected, each by written_completion(). With a warning, prompts are left
/// out (and removed from `prompts`) of which a completion is longer than most_tokens or both completions are the same.
/// Throws base::ConfigError when none is left.
WrittenPairs written_pairs(const Policy& policy, std::vector<Prompt>& prompts, int64_t most_tokens,
                           bool special_tokens);

/// Direct preference optimization (arXiv 2305.18290) on written pairs. The loss is the mean over pairs of that of
/// algorithm.dpo; everything else is as in supervised fine-tuning.
class Dpo : public Sft {
 public:
  /// What is given must outlive this object. references: for each prompt.
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
