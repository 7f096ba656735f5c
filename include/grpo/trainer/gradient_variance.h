#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

struct VarianceOptions {
  std::vector<int64_t> group_sizes = {2, 4, 8, 16};  // G
  std::vector<int64_t> rollouts = {64, 128, 256};    // Q G: of each step; every G divides each
  int64_t redraws = 64;
  std::function<void(int64_t done, int64_t total)> on_progress = {};  // after each redraw
};

/// The gradient of one step size over many redraws.
struct VarianceOf {
  int64_t prompts = 0;     // Q
  int64_t group_size = 0;  // G
  int64_t redraws = 0;
  double variance = 0.0;     // E |g - E g|^2: the trace of the covariance, unbiased
  double error = 0.0;        // standard error of it, from its spread over eighths of the redraws
  double mean_square = 0.0;  // |E g|^2, unbiased
  double live_share = 0.0;   // of groups
  double accuracy = 0.0;
};

/// The variance of the step's gradient at a policy's weights (Prop. 4.2 of arXiv 2510.00977: it falls as 1 / (Q G)).
/// Every redraw takes fresh prompts and fresh samples, keyed by run.seed + the redraw's number; the gradient is that of
/// the configuration's advantage, loss and aggregation, in fp32, before clipping. Steps without a live group count with
/// their gradient of 0. config: with paths as train() takes them; at least 8 redraws. Throws as a start of a run does.
std::vector<VarianceOf> gradient_variance(TrainConfig config, const std::string& config_folder,
                                          const VarianceOptions& options);

}  // namespace grpo::trainer
