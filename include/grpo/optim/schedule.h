#pragma once

#include <cstdint>

#include "grpo/optim/optimizer_config.h"

namespace grpo::optim {

/// The factor on OptimizerConfig::lr for an update; indices count from 0. With w = warmup_updates, u = update_index, n
/// = total_updates, p = min(1, (u - w) / max(1, n - w)) and q = min_lr_ratio:
///   u < w     u / w, so the first update of a warm-up has rate 0
///   constant  1
///   linear    q + (1 - q) max(0, n - u) / max(1, n - w)
///   cosine    q + (1 - q) (1 + cos(pi p)) / 2
/// These are the numbers of transformers' constant_with_warmup, linear and cosine(_with_min_lr) schedules.
double lr_factor(const OptimizerConfig& config, int64_t update_index, int64_t total_updates);

}  // namespace grpo::optim
