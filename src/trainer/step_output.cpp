#include "trainer/step_output.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/json.h"
#include "grpo/metrics/console.h"
#include "grpo/metrics/timer.h"

namespace grpo::trainer {
namespace {

// Indents a text by four spaces, so that Markdown shows it as it is.
std::string verbatim(const std::string& text) {
  constexpr size_t kLongest = 4000;  // bytes; an event file keeps the texts of every step
  // An incomplete UTF-8 character, left by the cut or by the model, becomes U+FFFD: TensorBoard stops at invalid ones.
  const auto valid = nlohmann::json::parse(
      nlohmann::json(text.substr(0, kLongest)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  std::string out = "    ";
  for (const char c : valid.get<std::string>()) out += c == '\n' ? std::string("\n    ") : std::string(1, c);
  return out + "\n\n";
}

std::string rollout_heading(const Rollout& rollout) {
  return base::concat("**sample ", rollout.sample, "**: ", verifier::to_string(rollout.score.verdict.kind), ", reward ",
                      rollout.score.reward, ", advantage ", rollout.advantage, ", ", rollout.completion.ids.size(),
                      " tokens\n\n");
}

// The first prompt and its first completions, at most two, as Markdown.
std::string first_group(const RolloutBatch& batch) {
  std::string text = "**prompt** " + batch.prompts.front().id + "\n\n" + verbatim(batch.prompts.front().text);
  for (int64_t i = 0; i < std::min<int64_t>(2, batch.group_offsets[1]); ++i) {
    const Rollout& rollout = batch.rollouts[static_cast<size_t>(i)];
    text += rollout_heading(rollout) + verbatim(rollout.text);
  }
  return text;
}

// Says why a step made no update. Tied groups still train where KL or entropy is in the loss, so what counts is whether
// a token was trained.
std::string why_no_update(const StepStats& stats) {
  if (stats.update.applied) return "";
  if (stats.update.tokens > 0) return "  (gradient not finite: update skipped)";
  return stats.groups_live == 0 ? "  (no live group: no update)"
                                : "  (every live completion is cut off and masked: no update)";
}

}  // namespace

nlohmann::json gold_json(const Prompt& prompt) {
  return prompt.also_right.empty() ? nlohmann::json(prompt.gold) : nlohmann::json(prompt.golds());
}

void add_rollouts(metrics::TensorBoardWriter& writer, int64_t step, double time, const RolloutBatch& batch) {
  std::vector<double> lengths;
  std::vector<double> rewards;
  for (const Rollout& rollout : batch.rollouts) {
    lengths.push_back(static_cast<double>(rollout.completion.ids.size()));
    if (!rollout.score.failed()) rewards.push_back(rollout.score.reward);
  }
  writer.add_histogram(step, time, "histogram/length", lengths);
  writer.add_histogram(step, time, "histogram/reward", rewards);
  writer.add_text(step, time, "rollouts/first_group", first_group(batch));
}

double update_tokens_per_s(const StepStats& stats) {
  return metrics::per_second(stats.update.tokens, stats.update_s + stats.update_hidden_s.value_or(0.0));
}

metrics::MetricsLine metrics_of(const StepResult& result, double dead_predicted, int64_t rollouts_total) {
  const StepStats& stats = result.stats;
  const UpdateStats& update = stats.update;
  const auto rollouts = static_cast<double>(result.batch.rollouts.size());
  metrics::MetricsLine line;
  line.add("reward/mean", stats.reward_mean);
  line.add("reward/std", stats.reward_std);
  line.add("accuracy", stats.accuracy);
  for (const auto& figure : update.figures) line.add(figure.name, figure.value);
  line.add("grad_norm", update.grad_norm);
  line.add("lr", update.lr);
  line.add("groups/total", static_cast<double>(result.batch.num_groups()));
  line.add("groups/live", static_cast<double>(stats.groups_live));
  line.add("groups/dead_right", static_cast<double>(stats.groups_dead_right));
  line.add("groups/dead_wrong", static_cast<double>(stats.groups_dead_wrong));
  line.add("groups/dead_predicted", dead_predicted);
  line.add("groups/asked", static_cast<double>(result.batch.num_groups()));
  line.add("groups/extended", static_cast<double>(stats.groups_extended));
  line.add("groups/replaced", static_cast<double>(stats.groups_replaced));
  line.add("rollouts", rollouts);
  line.add("rollouts/total", static_cast<double>(rollouts_total));
  line.add("tokens/prompt", static_cast<double>(stats.tokens_prompt));
  line.add("tokens/completion", static_cast<double>(stats.tokens_completion));
  line.add("tokens/trained", static_cast<double>(update.tokens));
  line.add("truncated", static_cast<double>(stats.truncated));
  line.add("preempted", static_cast<double>(stats.preempted));
  line.add("verdict/unparsable", static_cast<double>(stats.unparsable));
  line.add("verdict/over_budget", static_cast<double>(stats.over_budget));
  line.add("length/mean", static_cast<double>(stats.tokens_completion) / rollouts);
  line.add("length/max", static_cast<double>(stats.length_max));
  line.add("time/rollout", stats.rollout_s);
  line.add("time/reward", stats.reward_s);
  line.add("time/update", stats.update_s);
  if (stats.update_hidden_s) line.add("time/update_hidden", *stats.update_hidden_s);
  line.add("time/train", stats.rollout_s + stats.reward_s + stats.update_s);
  line.add("speed/rollout_tokens_per_s", metrics::per_second(stats.tokens_completion, stats.rollout_s));
  line.add("speed/update_tokens_per_s", update_tokens_per_s(stats));
  return line;
}

std::string summary_of(const StepResult& result, int64_t step, int64_t steps, double step_s, double left_s) {
  const StepStats& stats = result.stats;
  char text[256];
  std::snprintf(
      text, sizeof text,
      "step %lld/%lld  reward %.3f  accuracy %.3f  live %lld/%lld  length %.1f  grad %.3f  entropy %.3f  %.2f s",
      static_cast<long long>(step), static_cast<long long>(steps), stats.reward_mean, stats.accuracy,
      static_cast<long long>(stats.groups_live), static_cast<long long>(result.batch.num_groups()),
      static_cast<double>(stats.tokens_completion) / static_cast<double>(result.batch.rollouts.size()),
      stats.update.grad_norm, stats.update.figure("entropy"), step_s);
  std::string line = text;
  if (step < steps) line += "  left " + metrics::duration(left_s);
  return line + why_no_update(stats);
}

void write_rollouts(const std::filesystem::path& path, int64_t step, const RolloutBatch& batch,
                    const std::vector<std::string>& reward_names, int64_t max_rollouts) {
  if (max_rollouts == 0) return;
  std::filesystem::create_directories(path.parent_path());
  io::JsonlWriter writer(path.string());
  for (size_t q = 0; q < batch.prompts.size() && batch.group_offsets[q + 1] <= max_rollouts; ++q) {
    for (int64_t i = batch.group_offsets[q]; i < batch.group_offsets[q + 1]; ++i) {
      const Rollout& rollout = batch.rollouts[static_cast<size_t>(i)];
      const Prompt& prompt = batch.prompts[q];
      nlohmann::ordered_json row{{"step", step},
                                 {"prompt_id", prompt.id},
                                 {"sample", rollout.sample},
                                 {"prompt", prompt.text},
                                 {"prompt_ids", prompt.ids},
                                 {"ids", rollout.completion.ids},
                                 {"text", rollout.text},
                                 {"logprobs", rollout.completion.log_probs},
                                 {"finish_reason", to_string(rollout.completion.finish_reason)},
                                 {"answer", rollout.score.verdict.pred_parsed},
                                 {"gold", gold_json(prompt)},
                                 {"verdict", verifier::to_string(rollout.score.verdict.kind)},
                                 {"reward", rollout.score.reward},
                                 {"advantage", rollout.advantage}};
      if (rollout.kl != 0.0) row["kl"] = rollout.kl;
      if (batch.group_offsets[q + 1] - batch.group_offsets[q] == 1) row["baseline"] = rollout.baseline;
      for (size_t k = 0; k < rollout.score.values.size(); ++k)
        row["rewards"][reward_names.at(k)] = rollout.score.values[k];
      if (!rollout.values.empty())
        row.update({{"values", rollout.values}, {"token_advantages", rollout.token_advantages}});
      if (!prompt.fields.empty()) row["fields"] = nlohmann::json::parse(prompt.fields);
      if (rollout.score.failed()) row["reward_failure"] = rollout.score.failure;
      writer.write(row);
    }
  }
}

}  // namespace grpo::trainer
