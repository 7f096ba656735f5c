#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

struct VarianceOptions {
  std::vector<int64_t> group_sizes = {2, 4, 8, 16};  // G
  std::vector<int64_t> rollouts = {64, 128, 256};    // Q G, the rollouts of a step; every G divides each of them
  int64_t redraws = 64;                              // steps that are sampled for each pair of G and Q G
  std::function<void(int64_t done, int64_t total)> on_progress = {};  // after each redraw
};

/// What many redraws of a step of Q prompts and groups of G say of its gradient g.
struct VarianceOf {
  int64_t prompts = 0;     // Q
  int64_t group_size = 0;  // G
  int64_t redraws = 0;
  double variance = 0.0;     // E |g - E g|^2: the trace of the covariance, unbiased
  double error = 0.0;        // standard error of `variance`, from its spread over eighths of the redraws
  double mean_square = 0.0;  // |E g|^2, unbiased, so that it can come out below 0
  double live_share = 0.0;   // share of groups that are live
  double accuracy = 0.0;     // share of rollouts that are right
};

/// The variance of the step's gradient at a policy's weights (Prop. 4.2 of arXiv 2510.00977: it falls as 1 / (Q G)).
/// Every redraw takes fresh prompts and fresh samples, keyed by run.seed + the redraw's number. The gradient is that of
/// the configuration's advantage, loss and aggregation, in fp32, before clipping. A step without a live group counts
/// with its gradient of 0. config: paths are looked up as train() does. Throws base::ConfigError for fewer than 16
/// redraws, for a G below 2 or one that does not divide the rollouts, for methods without sampling or with a critic,
/// for a KL in the rewards, and what train() throws before its first step.
std::vector<VarianceOf> gradient_variance(TrainConfig config, const std::string& config_folder,
                                          const VarianceOptions& options);

}  // namespace grpo::trainer
