#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "grpo/data/dataset.h"
#include "grpo/trainer/policy.h"
#include "grpo/verifier/gold.h"

namespace grpo::trainer {

/// The files that the entries of data.train, eval.data or --data stand for. An entry is a file, a folder, whose files
/// are meant, or a pattern, whose matches are meant; a relative one is looked up in the current directory and then in
/// config_folder. key: for messages. Throws base::ConfigError for a pattern without a match.
std::vector<std::string> resolve_files(const std::vector<std::string>& entries, const std::string& config_folder,
                                       const char* key);

/// The sets with files for paths, as resolve_files. One of which nothing but its path is said becomes one set a file.
/// Throws base::ConfigError also for a set without a path.
std::vector<data::TrainSet> resolve_sets(const std::vector<data::TrainSet>& sets, const std::string& config_folder);

/// Does this for every path of a configuration, the model's and those of evaluation included.
void resolve_paths(TrainConfig& config, const std::filesystem::path& config_folder);

/// What rows of data.train are read as.
data::RowKind row_kind(const TrainConfig& config);

/// Reads data.train, and says what was left out, what is double and how the sets share an epoch.
std::vector<data::Problem> load_train_problems(const data::DataConfig& data,
                                               data::RowKind kind = data::RowKind::kProblem);

/// The names of the evaluation sets that these files are. Throws base::ConfigError when two files have the same name,
/// because the results of one would take the place of the other's.
std::vector<std::string> names_of_sets(const std::vector<std::string>& files, const char* key);

/// Turns problems into prompts of this policy. Those of more than max_prompt_tokens are left out with a warning. what:
/// the key that names the files, for messages. Throws base::ConfigError when none is left.
std::vector<Prompt> prompts_of(const Policy& policy, const data::DataConfig& data,
                               const std::vector<data::Problem>& problems, int64_t max_prompt_tokens, const char* what);

/// The same for the problems that these files hold. whole_rows: see data::load_problems.
std::vector<Prompt> load_prompts(const Policy& policy, const data::DataConfig& data,
                                 const std::vector<std::string>& files, int64_t max_prompt_tokens, const char* what,
                                 bool whole_rows);

/// Asks of every gold answer whether the reward would judge a right completion right (verifier/gold.h), and logs by
/// which rules answers were taken out of their texts. Prompts without a gold answer are left out, with
/// OnBadRow::kSkip also those whose answer cannot be verified. What is wrong is listed as a warning; throws
/// base::ConfigError when its share is above reward.max_bad_golds, when no prompt is left, or when a row lacks what a
/// term needs (reward::why_unfit). use: what the gold answers are compared as.
void check_golds(std::vector<Prompt>& prompts, const reward::RewardConfig& config, const char* what,
                 verifier::GoldUse use = verifier::GoldUse::kAnswer, data::OnBadRow on_bad = data::OnBadRow::kError);

}  // namespace grpo::trainer
