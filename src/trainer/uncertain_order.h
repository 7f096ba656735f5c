#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "grpo/data/train_set.h"
#include "grpo/trainer/rollout_batch.h"
#include "trainer/accuracy_tracker.h"

namespace grpo::trainer {

/// The prompts that the next `count` draws of a run ask under data.order: uncertain, as indices into `prompts`. For
/// every prompt a p is drawn from the Beta distribution of its accuracy (Thompson sampling). Then prompts are drawn
/// without replacement, with weights p (1 - p) but at least kLeastWeight, so that none is lost, times the weight of
/// their set. When all are drawn it begins anew. Random numbers are keyed by (seed, first_draw, row), so that the same
/// step asks the same prompts after any restart and on every rank, and a larger `count` only adds prompts at the end.
/// REQUIRES: there is a prompt.
std::vector<size_t> uncertain_prompts(const AccuracyTracker& accuracy, const std::vector<Prompt>& prompts,
                                      const std::vector<data::TrainSet>& sets, uint64_t seed, uint64_t first_draw,
                                      size_t count);

/// The least weight of a prompt. It is a twenty-fifth of the largest one, which is 1/4.
inline constexpr double kLeastWeight = 0.01;

}  // namespace grpo::trainer
