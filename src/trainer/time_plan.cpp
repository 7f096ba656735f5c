#include "trainer/time_plan.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "grpo/io/file.h"
#include "grpo/io/json.h"
#include "grpo/metrics/timer.h"

namespace grpo::trainer {
namespace {

template <typename F>
double best_seconds(int times, const F& work) {
  work();  // the first time pays for threads and pages
  double best = 1e9;
  for (int i = 0; i < times; ++i) {
    const metrics::Timer timer;
    work();
    best = std::min(best, timer.seconds());
  }
  return best;
}

}  // namespace

DeviceRates measure_cpu(at::ScalarType dtype) {
  constexpr int64_t kRows = 256, kSize = 1024, kFloats = int64_t{16} << 20;
  const at::NoGradGuard no_grad;
  const auto a = at::ones({kRows, kSize}, dtype);
  const auto b = at::ones({kSize, kSize}, dtype);
  const auto memory = at::ones({kFloats}, at::kFloat);
  const double product = best_seconds(5, [&] { at::mm(a, b); });
  const double read = best_seconds(3, [&] { memory.sum(); });
  DeviceRates rates{.flops = 2.0 * kRows * kSize * kSize / product, .bytes = 4.0 * kFloats / read, .source = {}};
  char text[96];
  std::snprintf(text, sizeof text, "measured now: %.0f GFLOP/s, %.0f GB/s", rates.flops / 1e9, rates.bytes / 1e9);
  rates.source = text;
  return rates;
}

DeviceRates assumed_gpu() { return {.flops = 300e12, .bytes = 3e12, .source = "assumed for each GPU: 300 TFLOP/s, 3 TB/s", .cuda = true}; }

TimePlan plan_time(const models::ModelConfig& model, const TrainConfig& config, int64_t dtype_bytes, int64_t ranks, const DeviceRates& rates) {
  const auto n = static_cast<double>(model.num_parameters());
  const RolloutOptions& rollout = config.rollout;
  const auto prompts = static_cast<double>(rollout.prompts_per_step) / static_cast<double>(ranks);
  const auto rollouts = prompts * static_cast<double>(rollout.group_size);
  const auto together = std::min(static_cast<double>(decoded_together(rollout, rates.cuda)), std::max(rollouts, 1.0));
  const auto completion = static_cast<double>(rollout.max_new_tokens);
  const double one_decode = std::max(n * static_cast<double>(dtype_bytes) / rates.bytes, 2.0 * n * together / rates.flops);
  const double prompt_tokens = static_cast<double>(config.data.max_prompt_tokens) * prompts;
  const double trained_tokens = rollouts * (static_cast<double>(config.data.max_prompt_tokens) + completion);
  const int64_t updates = config.trainer.updates_per_step * config.trainer.epochs_per_step;
  const bool old_pass = updates > 1 && config.algorithm.old_logprobs == OldLogProbs::kTrainer;
  const double per_token = 6.0 * static_cast<double>(config.trainer.epochs_per_step) + (old_pass ? 2.0 : 0.0) +
                           (config.algorithm.kl.coef > 0.0 ? 2.0 : 0.0);
  return {.rollout_s = std::ceil(rollouts / together) * completion * one_decode + 2.0 * n * prompt_tokens / rates.flops,
          .update_s = per_token * n * trained_tokens / rates.flops};
}

std::optional<double> measured_step_seconds(const TrainConfig& config) {
  const auto file = std::filesystem::path(config.run.output) / config.run.name / "metrics.jsonl";
  std::vector<double> seconds;
  if (std::filesystem::exists(file)) {
    io::JsonlReader reader(file.string());
    for (nlohmann::json line; reader.next(line);) {
      const bool same = line.value("rollouts", 0.0) == static_cast<double>(config.rollout.prompts_per_step * config.rollout.group_size);
      if (same) seconds.push_back(line.value("time/step", 0.0));
    }
  }
  if (seconds.empty()) return {};
  std::nth_element(seconds.begin(), seconds.begin() + static_cast<int64_t>(seconds.size() / 2), seconds.end());
  return seconds[seconds.size() / 2];
}

std::string duration_text(double seconds) {
  char text[32];
  if (seconds < 100.0) std::snprintf(text, sizeof text, "%.3g s", seconds);
  else if (seconds < 6000.0) std::snprintf(text, sizeof text, "%.3g min", seconds / 60.0);
  else if (seconds < 172800.0) std::snprintf(text, sizeof text, "%.3g h", seconds / 3600.0);
  else std::snprintf(text, sizeof text, "%.3g days", seconds / 86400.0);
  return text;
}

}  // namespace grpo::trainer
