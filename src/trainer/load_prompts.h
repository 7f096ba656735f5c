#pragma once

#include <string>
#include <vector>

#include "grpo/data/dataset.h"
#include "grpo/trainer/policy.h"

namespace grpo::trainer {

/// Problems of `files` as prompts of this policy. Those of more than max_prompt_tokens are left out with a warning.
/// what: the key that names the files, for messages. Throws base::ConfigError when none is left.
std::vector<Prompt> load_prompts(const Policy& policy, const data::DataConfig& data, const std::vector<std::string>& files,
                                 int64_t max_prompt_tokens, const char* what);

/// Verifies every gold answer against itself: one that the verifier does not accept can never be rewarded. Lists the
/// failures as a warning; throws base::ConfigError when their share is above reward.max_bad_golds.
void check_golds(const std::vector<Prompt>& prompts, const reward::RewardConfig& config, const char* what);

}  // namespace grpo::trainer
