#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace grpo::algo {

/// How the values of a figure become one value. An update folds the values of its pieces (micro-batches and ranks), and
/// a step folds the values of its updates.
enum class Fold {
  /// Each piece's value is a weighted sum of terms, as the loss is. Update: their sum. Step: the mean of its updates.
  kSum,
  /// Each piece's value is a sum over tokens. Update: the mean over all trained tokens. Step: the mean of its updates.
  kMean,
  /// Each piece's value is a sum over groups of sequences. Update: the mean over all trained groups. Step: the mean of
  /// its updates.
  kGroupMean,
  /// Update: as kMean. Step: the largest of its updates. The values are not negative.
  kLargestMean,
  /// Update: the largest value. Step: the largest of its updates. The values are not negative.
  kMax,
};

/// A figure that is computed beside a loss, with its name in metrics.jsonl.
struct Measure {
  std::string name;
  Fold fold = Fold::kMean;
  at::Tensor value;  // scalar without gradient; it stays on the loss's device, since reading it makes the host wait
};

}  // namespace grpo::algo
