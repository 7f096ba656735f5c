#include "trainer/recorded_step.h"

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/json_errors.h"

namespace grpo::trainer {
namespace {

Prompt prompt_of(const nlohmann::json& row) {
  Prompt prompt;
  prompt.id = row.at("prompt_id").get<std::string>();
  prompt.ids = row.at("prompt_ids").get<std::vector<int64_t>>();
  return prompt;
}

Rollout rollout_of(const nlohmann::json& row, size_t prompt) {
  Rollout rollout{
      .prompt = prompt, .sample = row.at("sample").get<int64_t>(), .completion = {}, .text = {}, .score = {}};
  rollout.completion.ids = row.at("ids").get<std::vector<int64_t>>();
  rollout.completion.log_probs = row.at("logprobs").get<std::vector<float>>();
  rollout.completion.finish_reason = row.at("finish_reason") == to_string(rollout::FinishReason::kStop)
                                         ? rollout::FinishReason::kStop
                                         : rollout::FinishReason::kLength;
  rollout.score.reward = row.at("reward").get<double>();
  rollout.score.failure = row.value("reward_failure", "");
  if (row.at("verdict") == verifier::to_string(verifier::Verdict::Kind::kRight))
    rollout.score.verdict.kind = verifier::Verdict::Kind::kRight;
  rollout.kl = row.value("kl", 0.0);
  rollout.baseline = row.value("baseline", 0.0);
  rollout.advantage = row.at("advantage").get<double>();
  return rollout;
}

void add(RolloutBatch& batch, const nlohmann::json& row) {
  if (row.at("sample") == 0) {  // a group begins
    if (!batch.prompts.empty()) batch.group_offsets.push_back(static_cast<int64_t>(batch.rollouts.size()));
    batch.prompts.push_back(prompt_of(row));
  }
  if (batch.prompts.empty()) throw base::IoError("the first rollout is not the first of its group");
  batch.rollouts.push_back(rollout_of(row, batch.prompts.size() - 1));
}

}  // namespace

RolloutBatch read_rollouts(const std::filesystem::path& path) {
  io::JsonlReader reader(path.string());
  RolloutBatch batch;
  batch.group_offsets = {0};
  nlohmann::json row;
  while (reader.next(row)) {
    try {
      add(batch, row);
    } catch (const std::exception& error) {
      throw base::IoError(
          base::concat(path.string(), ":", reader.line(), ": not a rollout of a run (", error.what(), ")"));
    }
  }
  if (batch.prompts.empty()) throw base::IoError(path.string() + ": no rollouts");
  batch.group_offsets.push_back(static_cast<int64_t>(batch.rollouts.size()));
  return batch;
}

std::map<int64_t, StepCounts> step_counts(const std::filesystem::path& run) {
  io::JsonlReader reader((run / "metrics.jsonl").string());
  std::map<int64_t, StepCounts> counts;
  nlohmann::json line;
  while (reader.next(line)) {
    io::with_json_errors(reader, [&] {
      if (!line.contains("rollouts")) return;
      counts[line.at("step").get<int64_t>()] = {.rollouts = line.at("rollouts").get<int64_t>(),
                                                .groups_replaced = line.value("groups/replaced", int64_t{0})};
    });
  }
  return counts;
}

}  // namespace grpo::trainer
