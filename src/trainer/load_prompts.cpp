#include "trainer/load_prompts.h"

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/base/text.h"
#include "grpo/reward/reward.h"

namespace grpo::trainer {
namespace {

constexpr size_t kShown = 80;   // bytes of a gold answer in the message
constexpr size_t kListed = 10;  // failing gold answers named in the message

std::string describe(const Prompt& prompt, const reward::Verdict& verdict) {
  const std::string_view gold = prompt.gold;
  return base::concat("\n  problem ", prompt.id, ": ", gold.empty() ? "(empty)" : gold.substr(0, kShown), gold.size() > kShown ? "..." : "", "  (", reward::to_string(verdict.kind), ": ",
                      verdict.reason, ")");
}

}  // namespace

std::vector<Prompt> load_prompts(const Policy& policy, const data::DataConfig& data, const std::vector<std::string>& files,
                                 int64_t max_prompt_tokens, const char* what) {
  const auto problems = data::load_problems(files, data.prompt_key, data.answer_key);
  int64_t dropped = 0;
  auto prompts = make_prompts(policy, problems, max_prompt_tokens, &dropped);
  if (dropped > 0) {
    base::log_warning(base::concat(what, ": ", dropped, " of ", problems.size(), " prompts are longer than ", max_prompt_tokens,
                                   " tokens (data.max_prompt_tokens, rollout.max_total_tokens) and are left out"));
  }
  if (prompts.empty()) {
    throw base::ConfigError(base::concat(what, ": no problem is left of ", problems.size(), " in ", base::join(files, ", "),
                                         "; check the files and data.max_prompt_tokens"));
  }
  return prompts;
}

void check_golds(const std::vector<Prompt>& prompts, const reward::RewardConfig& config, const char* what) {
  std::vector<std::string> golds;
  golds.reserve(prompts.size());
  for (const auto& prompt : prompts) golds.push_back(prompt.gold);
  const auto bad = reward::check_golds(golds, reward::verifier_config(config.verifier));
  if (bad.empty()) return;
  std::string message = base::concat(what, ": ", bad.size(), " of ", prompts.size(),
                                     " gold answers do not verify against themselves, so no completion can be right on them:");
  for (size_t i = 0; i < bad.size() && i < kListed; ++i) message += describe(prompts[bad[i].index], bad[i].verdict);
  if (bad.size() > kListed) message += base::concat("\n  ... and ", bad.size() - kListed, " more");
  if (static_cast<double>(bad.size()) > config.max_bad_golds * static_cast<double>(prompts.size())) {
    throw base::ConfigError(base::concat(message, "\nMend or remove them, check data.answer_key, or allow them with "
                                                  "reward.max_bad_golds (now ", config.max_bad_golds, ")"));
  }
  base::log_warning(message);
}

}  // namespace grpo::trainer
