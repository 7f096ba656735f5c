#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "grpo/models/causal_lm.h"
#include "grpo/trainer/policy.h"
#include "grpo/update/learner.h"

namespace grpo::trainer {

/// log pi_ref of both completions of a pair, each of all its tokens together.
struct ReferencePair {
  double chosen = 0.0;
  double rejected = 0.0;
  bool operator==(const ReferencePair&) const = default;
};

/// The pairs of method dpo, and what they are compared with.
struct ReferenceRequest {
  const std::vector<Prompt>& prompts;
  const std::vector<std::vector<int64_t>>& chosen;  // ids, of each prompt
  const std::vector<std::vector<int64_t>>& rejected;
  std::string weights;                                 // a print of the reference's weights, shape and precision
  std::function<const models::CausalLM&()> reference;  // asked for only where the numbers are not known yet
};

/// Log-probs of the reference. They depend on weights and pairs alone, so they are computed once: by all ranks, each a
/// share, and then kept in base::cache_folder()/reference/, in a file whose name and content say of what they are. A
/// file that says something else, or is not whole, is not believed: the numbers are computed anew. Throws base::Error
/// for a log-prob that is not finite. A collective.
std::vector<ReferencePair> reference_log_probs(const update::Learner& learner, const ReferenceRequest& request);

}  // namespace grpo::trainer
