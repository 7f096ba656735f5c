// Direct preference optimization: prompts with two written completions each -> pairs of sequences -> update.
#include "trainer/methods/dpo.h"

#include "grpo/base/error.h"
#include "grpo/base/log.h"

namespace grpo::trainer {
namespace {

update::Sequence sequence_of(const Prompt& prompt, const std::vector<int64_t>& completion, float value,
                             double reference, size_t pair) {
  auto sequence = update::sequence_of(prompt.ids, completion);
  sequence.advantages = {value};
  sequence.group = static_cast<int64_t>(pair);
  sequence.reference_log_prob = reference;
  return sequence;
}

void warn_left_out(size_t count, size_t all, const std::string& why) {
  if (count > 0) base::log_warning(base::concat("data.train: ", count, " of ", all, " pairs are left out: ", why));
}

}  // namespace

WrittenPairs written_pairs(const Policy& policy, std::vector<Prompt>& prompts, int64_t most_tokens,
                           bool special_tokens) {
  WrittenPairs pairs;
  std::vector<Prompt> kept;
  size_t same = 0;
  for (Prompt& prompt : prompts) {
    auto chosen = written_completion(policy, prompt.gold, special_tokens);
    auto rejected = written_completion(policy, prompt.rejected, special_tokens);
    same += chosen == rejected ? 1 : 0;
    const auto longest = static_cast<int64_t>(std::max(chosen.size(), rejected.size()));
    if (chosen == rejected || longest > most_tokens) continue;
    pairs.chosen.push_back(std::move(chosen));
    pairs.rejected.push_back(std::move(rejected));
    kept.push_back(std::move(prompt));
  }
  warn_left_out(same, prompts.size(), "both completions are the same");
  warn_left_out(prompts.size() - kept.size() - same, prompts.size(),
                base::concat("a completion is longer than ", most_tokens, " tokens (rollout.max_new_tokens)"));
  prompts = std::move(kept);
  if (prompts.empty()) throw base::ConfigError("data.train: no pair is left; check rollout.max_new_tokens");
  return pairs;
}

Dpo::Dpo(const TrainConfig& config, Policy& policy, const std::vector<Prompt>& prompts, const WrittenPairs& pairs,
         const std::vector<ReferencePair>& references)
    : Sft(config, policy, prompts, pairs.chosen), pairs_(pairs), references_(references) {}

update::Batch Dpo::batch_of(const StepCall&, const std::vector<size_t>& examples) const {
  update::Batch batch{.sequences = {}, .scale = 1.0 / static_cast<double>(examples.size())};
  for (size_t k = 0; k < examples.size(); ++k) {
    const size_t i = examples[k];  // around an epoch's end a pair may come twice, so that the group is numbered by k
    const Prompt& prompt = prompts()[i];
    batch.sequences.push_back(sequence_of(prompt, pairs_.chosen[i], 1.0f, references_[i].chosen, k));
    batch.sequences.push_back(sequence_of(prompt, pairs_.rejected[i], -1.0f, references_[i].rejected, k));
  }
  return batch;
}

std::vector<int64_t> Dpo::lengths_of(size_t example) const {
  return {static_cast<int64_t>(pairs_.chosen[example].size()), static_cast<int64_t>(pairs_.rejected[example].size())};
}

metrics::MetricsLine Dpo::measures() const {
  auto line = Sft::measures();
  for (const auto& figure : update().figures) {
    if (figure.fold == algo::Fold::kGroupMean) line.add(figure.name, figure.value);
  }
  return line;
}

}  // namespace grpo::trainer
