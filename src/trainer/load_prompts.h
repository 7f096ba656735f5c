#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "grpo/data/dataset.h"
#include "grpo/trainer/policy.h"
#include "grpo/verifier/gold.h"

namespace grpo::trainer {

/// The files that the entries of data.train, eval.data or --data stand for: each as it is, or a folder's files, or what
/// a pattern matches; relative ones from the current directory, else from config_folder. key: for messages. Throws
/// base::ConfigError for a pattern without a match.
std::vector<std::string> resolve_files(const std::vector<std::string>& entries, const std::string& config_folder,
                                       const char* key);

/// The names of evaluation sets, one a file. Throws base::ConfigError when two files have the same: one's results would
/// take the place of the other's.
std::vector<std::string> names_of_sets(const std::vector<std::string>& files, const char* key);

/// Problems as prompts of this policy. Those of more than max_prompt_tokens are left out with a warning. what: the key
/// that names the files, for messages. Throws base::ConfigError when none is left.
std::vector<Prompt> prompts_of(const Policy& policy, const data::DataConfig& data,
                               const std::vector<data::Problem>& problems, int64_t max_prompt_tokens, const char* what);

/// The same of the problems of files.
std::vector<Prompt> load_prompts(const Policy& policy, const data::DataConfig& data,
                                 const std::vector<std::string>& files, int64_t max_prompt_tokens, const char* what);

/// Asks of every gold answer what the reward will: whether a right completion is judged right (verifier/gold.h), and
/// logs by which rules answers were taken out of their texts. Leaves out the prompts that have none. Lists what is
/// wrong as a warning; throws base::ConfigError when the share is above reward.max_bad_golds, or no prompt is left.
/// use: what the gold answers are compared as.
void check_golds(std::vector<Prompt>& prompts, const reward::RewardConfig& config, const char* what,
                 verifier::GoldUse use = verifier::GoldUse::kAnswer);

}  // namespace grpo::trainer
