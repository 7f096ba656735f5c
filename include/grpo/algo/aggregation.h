#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace grpo::algo {

/// How the per-token terms of B rollouts with T counted tokens become one loss. T and B count the whole update batch,
/// all of its micro-batches and ranks.
enum class Aggregation {
  kTokenMean,            // sum / T                                           DAPO, arXiv 2503.14476
  kSeqMeanTokenMean,     // sum over rollouts of (sum over tokens / |o|) / B  GRPO, arXiv 2402.03300
  kSeqMeanTokenSum,      // sum / B
  kSeqMeanTokenSumNorm,  // sum / (B max_new_tokens)                          Dr. GRPO, arXiv 2503.20783
};
std::vector<std::string> enum_names(Aggregation);

/// Which rollouts count in T and B: all of the update batch, or only the live ones (RolloutCount::live).
enum class DenominatorScope { kAll, kLive };
std::vector<std::string> enum_names(DenominatorScope);

/// Whether a rollout without a counted token counts in B (TRL) or not (verl).
enum class EmptyRows { kCount, kSkip };
std::vector<std::string> enum_names(EmptyRows);

/// Counts of the whole update batch. `tokens` and `rollouts` of all ranks must be added up before use.
struct Denominators {
  double tokens = 0.0;          // T
  double rollouts = 0.0;        // B
  double max_new_tokens = 0.0;  // rollout.max_new_tokens; needed by seq_mean_token_sum_norm only
};

struct RolloutCount {
  int64_t tokens = 0;  // completion tokens that count in the loss
  bool live = true;    // whether its group is live, so that it counts under DenominatorScope::kLive too
};

/// T and B of the given rollouts; the caller sets max_new_tokens.
Denominators count_denominators(const std::vector<RolloutCount>& rollouts, DenominatorScope scope,
                                EmptyRows empty_rows);

/// The factor that all terms share: 1 / T, 1 / B or 1 / (B max_new_tokens). A denominator of 0 (nothing counts in the
/// whole batch) gives 0.
double loss_scale(Aggregation aggregation, const Denominators& denominators);

/// What each token's term is multiplied with: `scale` times 1 or 1 / |o|. With scale = loss_scale() the loss is the sum
/// of weights times terms: the shares of any split of the batch, and their gradients, add up to the whole.
/// rollout_offsets: as in packed.h, over the counted tokens alone. Returns [N] fp32 on the CPU.
at::Tensor token_weights(at::IntArrayRef rollout_offsets, Aggregation aggregation, double scale);

}  // namespace grpo::algo
