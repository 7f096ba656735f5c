#include "trainer/load_prompts.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/base/text.h"
#include "grpo/config/config.h"
#include "grpo/data/files.h"
#include "grpo/reward/reward.h"
#include "trainer/train_shares.h"

namespace grpo::trainer {
namespace fs = std::filesystem;
namespace {

constexpr size_t kShown = 80;   // bytes of a gold answer that a message shows
constexpr size_t kListed = 10;  // bad gold answers or rows that a message lists

std::string shortened(const std::string& text) {
  if (text.empty()) return "(empty)";
  std::string line = text.substr(0, kShown);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line + (text.size() > kShown ? "..." : "");
}

std::string describe(const Prompt& prompt, const verifier::BadGold& bad) {
  const std::string kind = bad.missing ? "missing" : verifier::to_string(bad.verdict.kind);
  return base::concat("\n  problem ", prompt.id, ": ", shortened(prompt.gold), "  (", kind, ": ", bad.verdict.reason,
                      "; ", prompt.place, ")");
}

std::string list_of(const std::vector<Prompt>& prompts, const std::vector<verifier::BadGold>& bad) {
  std::string text;
  for (size_t i = 0; i < bad.size() && i < kListed; ++i) text += describe(prompts[bad[i].index], bad[i]);
  if (bad.size() > kListed) text += base::concat("\n  ... and ", bad.size() - kListed, " more");
  return text;
}

// Logs, for example, "data.train: answers taken out of longer gold texts: 7473 by the rule ####, 2 by the rule box".
void log_rules(const std::vector<Prompt>& prompts, const char* what) {
  std::map<std::string, int64_t> counts;
  for (const Prompt& prompt : prompts) {
    for (const auto& gold : prompt.golds()) ++counts[verifier::extract_gold(gold).rule];
  }
  counts.erase("whole");
  std::vector<std::string> parts;
  for (const auto& [rule, count] : counts) parts.push_back(base::concat(count, " by the rule ", rule));
  if (!parts.empty())
    base::log_info(base::concat(what, ": answers taken out of longer gold texts: ", base::join(parts, ", ")));
}

// Warns where all golds are the same, because then a column such as "source" was probably taken for the answers.
void warn_where_all_are_one(const std::vector<Prompt>& prompts, const char* what) {
  constexpr size_t kFew = 8;
  if (prompts.size() < kFew) return;
  const std::string& first = prompts.front().gold;
  if (first.empty() ||
      !std::all_of(prompts.begin(), prompts.end(), [&](const Prompt& prompt) { return prompt.gold == first; }))
    return;
  base::log_warning(base::concat(what, ": all ", prompts.size(), " gold answers are \"", shortened(first),
                                 "\"; check data.answer_key"));
}

// Throws if there are problems that lack what a term of the reward needs besides a gold answer.
void refuse_unfit(const std::vector<Prompt>& prompts, const reward::RewardConfig& config, const char* what) {
  int64_t unfit = 0;
  std::string first;
  for (const Prompt& prompt : prompts) {
    const auto golds = prompt.golds();
    std::string why;
    for (size_t i = 0; i < golds.size() && why.empty(); ++i)
      why = reward::why_unfit(config, golds[i], prompt.whole_row);
    if (!why.empty() && ++unfit == 1) first = base::concat("problem ", prompt.id, ": ", why);
  }
  if (unfit == 0) return;
  throw base::ConfigError(
      base::concat(what, ": no completion of ", unfit, " of ", prompts.size(), " problems can be judged; ", first));
}

void leave_out(std::vector<Prompt>& prompts, const std::vector<verifier::BadGold>& bad, bool only_missing,
               const char* what) {
  std::set<size_t> left_out;
  for (const auto& gold : bad) {
    if (gold.missing || !only_missing) left_out.insert(gold.index);
  }
  size_t index = 0;
  std::erase_if(prompts, [&](const Prompt&) { return left_out.contains(index++); });
  if (prompts.empty()) throw base::ConfigError(base::concat(what, ": no problem with an answer is left"));
}

void report_begun(const std::vector<Prompt>& prompts, const char* what) {
  const auto begun =
      std::count_if(prompts.begin(), prompts.end(), [](const Prompt& prompt) { return !prompt.begun.empty(); });
  if (begun == 0) return;
  base::log_info(base::concat(what, ": ", begun, " of ", prompts.size(),
                              " conversations end in a turn of the assistant's, which completions go on with"));
}

// Warns of prompts that seem to have been put into the chat template already, since they are put into it a second time.
void warn_templated_twice(const Policy& policy, const std::vector<data::Problem>& problems, const char* what) {
  const std::string& end = policy.chat_template->end_of_turn();
  if (end.empty()) return;
  const auto count = std::count_if(problems.begin(), problems.end(), [&](const data::Problem& problem) {
    return problem.prompt.find(end) != std::string::npos;
  });
  if (count == 0) return;
  base::log_warning(base::concat(what, ": ", count, " of ", problems.size(), " prompts hold ", end,
                                 " already, which template ", policy.chat_template->name(),
                                 " writes: if they were put into a chat template before, model.template: none with "
                                 "data.allow_special_tokens: true takes them as they are"));
}

void warn_skipped(const data::TrainSet& set, const data::SetCounts& counts) {
  if (counts.bad.empty()) return;
  std::string list;
  for (size_t i = 0; i < counts.bad.size() && i < kListed; ++i) list += "\n  " + counts.bad[i];
  if (counts.bad.size() > kListed) list += base::concat("\n  ... and ", counts.bad.size() - kListed, " more");
  base::log_warning(base::concat("data.train: ", base::join(set.path, ", "), ": ", counts.bad.size(), " of ",
                                 counts.rows, " rows cannot be read and are left out (data.on_bad_row: skip):", list));
}

// For example "7500 problems of 17398 rows: 20 duplicates dropped, 9878 not taken; weight 2, 15000 of 22473 draws an
// epoch". Empty where every row is a problem and there are no weights. epoch: the number of its draws, or 0 where all
// weights are 1.
std::string describe_set(const data::DataConfig& data, const data::SetCounts& counts, const data::SetShare& share,
                         int64_t epoch) {
  std::vector<std::string> parts;
  if (counts.filtered > 0) parts.push_back(base::concat(counts.filtered, " do not meet where"));
  if (counts.duplicates > 0)
    parts.push_back(base::concat(counts.duplicates, data.duplicates == data::Duplicates::kDrop
                                                        ? " duplicates dropped"
                                                        : " repeat an earlier problem (data.duplicates: drop)"));
  if (counts.not_taken > 0) parts.push_back(base::concat(counts.not_taken, " not taken"));
  if (parts.empty() && epoch == 0) return "";
  std::string text = base::concat(share.rows, " problems of ", counts.rows, " rows");
  if (!parts.empty()) text += ": " + base::join(parts, ", ");
  if (epoch > 0) text += base::concat("; weight ", share.weight, ", ", share.draws(), " of ", epoch, " draws an epoch");
  return text;
}

}  // namespace

std::vector<std::string> resolve_files(const std::vector<std::string>& entries, const std::string& config_folder,
                                       const char* key) {
  std::vector<std::string> files;
  for (const auto& entry : entries) {
    auto found = data::expand_files(config::resolve_path(entry, config_folder).string());
    if (found.empty()) found = data::expand_files((fs::path(config_folder) / entry).string());
    if (found.empty()) throw base::ConfigError(base::concat(key, ": no file matches ", entry));
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

std::vector<data::TrainSet> resolve_sets(const std::vector<data::TrainSet>& sets, const std::string& config_folder) {
  std::vector<data::TrainSet> resolved;
  for (const data::TrainSet& set : sets) {
    if (set.path.empty()) throw base::ConfigError("data.train: a set has no path; expected {path: FILE, ...}");
    const auto files = resolve_files(set.path, config_folder, "data.train");
    if (set.is_plain()) {
      resolved.insert(resolved.end(), files.begin(), files.end());
      continue;
    }
    resolved.push_back(set);
    resolved.back().path = files;
  }
  return resolved;
}

void resolve_paths(TrainConfig& config, const std::filesystem::path& config_folder) {
  config.run.output = config::resolve_path(config.run.output, "").string();  // ~/; else as seen from where one is
  config.model.path = config::resolve_path(config.model.path, config_folder).string();
  if (std::string& critic = config.algorithm.ppo.critic; !critic.empty())
    critic = config::resolve_path(critic, config_folder).string();
  config.data.train = resolve_sets(config.data.train, config_folder.string());
  config.eval.data = resolve_files(config.eval.data, config_folder.string(), "eval.data");
  if (config.eval.every_steps > 0) names_of_sets(config.eval.data, "eval.data");
}

data::RowKind row_kind(const TrainConfig& config) {
  if (config.algorithm.method == MethodKind::kDpo) return data::RowKind::kPreference;
  const bool whole = !learns_written_texts(config.algorithm) && reward::needs_whole_rows(config.reward);
  return whole ? data::RowKind::kWholeRow : data::RowKind::kProblem;
}

std::vector<data::Problem> load_train_problems(const data::DataConfig& data, data::RowKind kind) {
  auto loaded = data::load_train_sets(data, kind);
  const auto shares = train_shares(data.train, loaded.problems);
  const bool weighted =
      std::any_of(shares.begin(), shares.end(), [](const data::SetShare& share) { return share.weight != 1.0; });
  const int64_t epoch = epoch_length(data.train, loaded.problems);
  for (size_t s = 0; s < loaded.counts.size(); ++s) {
    warn_skipped(data.train[s], loaded.counts[s]);
    const std::string text = describe_set(data, loaded.counts[s], shares[s], weighted ? epoch : 0);
    if (!text.empty()) base::log_info(base::concat("data.train: ", base::join(data.train[s].path, ", "), ": ", text));
  }
  return std::move(loaded.problems);
}

std::vector<std::string> names_of_sets(const std::vector<std::string>& files, const char* key) {
  std::map<std::string, std::string> owner;
  std::vector<std::string> names;
  for (const auto& file : files) {
    names.push_back(data::name_of_set(file));
    const auto [other, is_new] = owner.emplace(names.back(), file);
    if (is_new) continue;
    throw base::ConfigError(base::concat(key, ": ", other->second, " and ", file, " are both called ", names.back(),
                                         "; results are named by the file, so rename one (a link will do)"));
  }
  return names;
}

int64_t longest_prompt(const TrainConfig& config) {
  if (!config.rollout.max_total_tokens) return config.data.max_prompt_tokens;
  return std::min(config.data.max_prompt_tokens, *config.rollout.max_total_tokens - config.rollout.max_new_tokens);
}

std::vector<Prompt> prompts_of(const Policy& policy, const data::DataConfig& data,
                               const std::vector<data::Problem>& problems, int64_t max_prompt_tokens,
                               const char* what) {
  int64_t dropped = 0;
  auto prompts = make_prompts(policy, problems, max_prompt_tokens, &dropped,
                              {.system = data.system, .allow_special_tokens = data.allow_special_tokens});
  if (dropped > 0) {
    base::log_warning(base::concat(what, ": ", dropped, " of ", problems.size(), " prompts are longer than ",
                                   max_prompt_tokens,
                                   " tokens (data.max_prompt_tokens, rollout.max_total_tokens) and are left out"));
  }
  if (prompts.empty()) {
    throw base::ConfigError(base::concat(what, ": no problem is left of ", problems.size(),
                                         "; check the files and data.max_prompt_tokens"));
  }
  report_begun(prompts, what);
  warn_templated_twice(policy, problems, what);
  return prompts;
}

std::vector<Prompt> load_prompts(const Policy& policy, const data::DataConfig& data,
                                 const std::vector<std::string>& files, int64_t max_prompt_tokens, const char* what,
                                 bool whole_rows) {
  const auto problems = data::load_problems(files, data.prompt_key, data.answer_key, data.extra_keys, whole_rows);
  return prompts_of(policy, data, problems, max_prompt_tokens, what);
}

void check_golds(std::vector<Prompt>& prompts, const reward::RewardConfig& config, const char* what,
                 verifier::GoldUse use, data::OnBadRow on_bad) {
  std::vector<std::vector<std::string>> golds;
  golds.reserve(prompts.size());
  for (const auto& prompt : prompts) golds.push_back(prompt.golds());
  const auto bad = verifier::check_golds(golds, config.placeholders, reward::verifier_options(config.verifier), use);
  if (use == verifier::GoldUse::kAnswer || use == verifier::GoldUse::kNumber) log_rules(prompts, what);
  warn_where_all_are_one(prompts, what);
  refuse_unfit(prompts, config, what);
  if (bad.empty()) return;
  const auto missing =
      std::count_if(bad.begin(), bad.end(), [](const verifier::BadGold& gold) { return gold.missing; });
  const bool only_missing = on_bad == data::OnBadRow::kError;
  const std::string message =
      base::concat(what, ": ", bad.size(), " of ", prompts.size(), " gold answers can reward no right completion (",
                   missing, " are missing", only_missing ? ", and their" : "); the", " problems are left out",
                   only_missing ? "):" : ":", list_of(prompts, bad));
  if (static_cast<double>(bad.size()) > config.max_bad_golds * static_cast<double>(prompts.size())) {
    throw base::ConfigError(
        base::concat(message,
                     "\nMend or remove them, check data.answer_key and reward.placeholders, or allow them with "
                     "reward.max_bad_golds (now ",
                     config.max_bad_golds, ")"));
  }
  base::log_warning(message);
  leave_out(prompts, bad, only_missing, what);
}

}  // namespace grpo::trainer
