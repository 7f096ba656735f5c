#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "trainer/accuracy_tracker.h"

namespace grpo::trainer {

/// The rows that the next `count` draws of a run ask under data.order: uncertain. For every prompt a p is drawn from
/// the Beta distribution of its accuracy (Thompson sampling), and then rows are drawn without replacement with weights
/// p (1 - p), at least kLeastWeight, so that no prompt is lost; when all rows are drawn it begins anew. The numbers are
/// keyed by (seed, first_draw, row): the same step asks the same prompts after any restart and on every rank.
/// REQUIRES: num_prompts >= 1.
std::vector<int64_t> uncertain_rows(const AccuracyTracker& accuracy, int64_t num_prompts, uint64_t seed,
                                    uint64_t first_draw, size_t count);

/// Of the largest weight, 1/4, that is a share of 1 in 25.
inline constexpr double kLeastWeight = 0.01;

}  // namespace grpo::trainer
