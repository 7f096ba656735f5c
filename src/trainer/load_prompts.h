#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "grpo/data/dataset.h"
#include "grpo/trainer/policy.h"
#include "grpo/verifier/gold.h"

namespace grpo::trainer {

/// The files that the entries of data.train, eval.data or --data stand for. An entry is a file, a folder, which stands
/// for its files, or a pattern, which stands for its matches. A relative entry is looked up in the current directory
/// and then in config_folder. key: names the setting in messages. Throws base::ConfigError for a pattern without a
/// match.
std::vector<std::string> resolve_files(const std::vector<std::string>& entries, const std::string& config_folder,
                                       const char* key);

/// The sets with their paths replaced by files, as by resolve_files(). A set that has nothing but a path becomes one
/// set for each file. Throws base::ConfigError also for a set without a path.
std::vector<data::TrainSet> resolve_sets(const std::vector<data::TrainSet>& sets, const std::string& config_folder);

/// Resolves every path of a configuration: those of the model, the critic, the training sets and the evaluation sets.
/// In run.output, which need not be there yet, only ~/ is replaced.
void resolve_paths(TrainConfig& config, const std::filesystem::path& config_folder);

/// What the rows of data.train are read as, which depends on method and reward.
data::RowKind row_kind(const TrainConfig& config);

/// Reads data.train, and logs what was left out, what is there twice and how the sets share an epoch.
std::vector<data::Problem> load_train_problems(const data::DataConfig& data,
                                               data::RowKind kind = data::RowKind::kProblem);

/// The names of the evaluation sets in these files. Throws base::ConfigError when two of them have the same name,
/// because the results of one would overwrite those of the other.
std::vector<std::string> names_of_sets(const std::vector<std::string>& files, const char* key);

/// The length of the longest prompt that leaves room for a whole completion within rollout.max_total_tokens.
int64_t longest_prompt(const TrainConfig& config);

/// Turns problems into prompts of this policy (make_prompts()), and warns of those that are left out because they are
/// longer than max_prompt_tokens. what: the key that names the files, for messages. Throws base::ConfigError when none
/// is left.
std::vector<Prompt> prompts_of(const Policy& policy, const data::DataConfig& data,
                               const std::vector<data::Problem>& problems, int64_t max_prompt_tokens, const char* what);

/// The same for the problems in these files. whole_rows: see data::load_problems.
std::vector<Prompt> load_prompts(const Policy& policy, const data::DataConfig& data,
                                 const std::vector<std::string>& files, int64_t max_prompt_tokens, const char* what,
                                 bool whole_rows);

/// Checks for every gold answer that the reward would judge a right completion right (verifier/gold.h), and logs by
/// which rules answers were taken out of longer texts. Prompts without a gold answer are left out, and with
/// OnBadRow::kSkip also those whose answer cannot be verified. A warning lists the bad ones. Throws base::ConfigError
/// when their share is above reward.max_bad_golds, when no prompt is left, or when a row lacks what a term needs
/// (reward::why_unfit). use: what the gold answers are compared as. what: the key that names the files, for messages.
void check_golds(std::vector<Prompt>& prompts, const reward::RewardConfig& config, const char* what,
                 verifier::GoldUse use = verifier::GoldUse::kAnswer, data::OnBadRow on_bad = data::OnBadRow::kError);

}  // namespace grpo::trainer
