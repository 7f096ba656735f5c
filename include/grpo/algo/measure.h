#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace grpo::algo {

/// How the values of a figure become one value: first over the pieces of an update (micro-batches and ranks), then over
/// the updates of a step.
enum class Fold {
  kSum,          // values are sums of terms times their weights, as the loss is: their sum; the mean of the updates
  kMean,         // values are sums over tokens: the mean over all trained tokens; the mean of the updates
  kGroupMean,    // values are sums over groups of sequences: the mean over all trained groups; the mean of the updates
  kLargestMean,  // as kMean; the largest of the updates
  kMax,          // the largest of the values; the largest of the updates
};

/// A figure that a loss finds on its way, under its name in metrics.jsonl.
struct Measure {
  std::string name;
  Fold fold = Fold::kMean;
  at::Tensor value;  // scalar on the device of the loss, so that nobody waits for it; no gradient
};

}  // namespace grpo::algo
