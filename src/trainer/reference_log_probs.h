#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "grpo/models/causal_lm.h"
#include "grpo/trainer/policy.h"
#include "grpo/update/learner.h"

namespace grpo::trainer {

/// log pi_ref of both completions of a pair, each summed over the tokens of the completion.
struct ReferencePair {
  double chosen = 0.0;
  double rejected = 0.0;
  bool operator==(const ReferencePair&) const = default;
};

/// The pairs of method dpo, and the reference whose log-probs are wanted.
struct ReferenceRequest {
  const std::vector<Prompt>& prompts;
  const std::vector<std::vector<int64_t>>& chosen;  // for each prompt the ids of its better completion
  const std::vector<std::vector<int64_t>>& rejected;
  std::string weights;                                 // a fingerprint of the reference's weights, shape and precision
  std::function<const models::CausalLM&()> reference;  // called only if the log-probs are not known yet
};

/// The log-probs of the reference for each pair. They depend on weights and pairs alone, so they are computed only
/// once, each rank computing a share, and then kept in base::cache_folder()/reference/, in a file whose name and
/// content say which weights and pairs they belong to. Where the file belongs to others or is not whole, they are
/// computed anew. Throws base::Error for a log-prob that is not finite. A collective.
std::vector<ReferencePair> reference_log_probs(const update::Learner& learner, const ReferenceRequest& request);

}  // namespace grpo::trainer
