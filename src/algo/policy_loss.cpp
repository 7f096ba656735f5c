#include "grpo/algo/policy_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <array>

#include "algo/loss_terms.h"
#include "grpo/base/error.h"

namespace grpo::algo {
namespace {

constexpr double kMaxLogRatio = 20.0;

struct LossRow {
  const char* name;
  LossTerms (*terms)(const PolicyLossConfig&, const LossTokens&);  // null where sequences are compared
  bool has_dual_clip;
};

// The rows are in the order of the enumerators.
constexpr std::array<LossRow, 7> kLosses = {{{"clip", clip_loss, true},
                                             {"reinforce", reinforce_loss, false},
                                             {"gspo", gspo_loss, true},
                                             {"cispo", cispo_loss, false},
                                             {"sapo", sapo_loss, false},
                                             {"pair", pair_loss, false},
                                             {"pair_logistic", nullptr, false}}};

const LossRow& row_of(Loss loss) { return kLosses.at(static_cast<size_t>(loss)); }

void check_shapes(const PolicyLossInputs& in) {
  const int64_t n = in.log_probs.numel();
  GRPO_CHECK(in.log_probs.dim() == 1 && in.old_log_probs.sizes() == in.log_probs.sizes() &&
                 in.advantages.sizes() == in.log_probs.sizes() &&
                 (!in.mask.defined() || in.mask.sizes() == in.log_probs.sizes()),
             "log_probs ", in.log_probs.sizes(), ", old ", in.old_log_probs.sizes(), ", advantages ",
             in.advantages.sizes());
  GRPO_CHECK(!in.mask.defined() || in.mask.scalar_type() == at::kBool, "mask is ", in.mask.scalar_type());
  GRPO_CHECK(!in.rollout_offsets.empty() && in.rollout_offsets.back() == n, n, " tokens, offsets ", in.rollout_offsets);
}

// Uses where() and not a product, because a product with 0 would let NaN and infinity through, in values and gradients.
at::Tensor masked(const at::Tensor& values, const at::Tensor& mask) {
  return mask.defined() ? at::where(mask, values, at::zeros_like(values)) : values;
}

LossTokens tokens_of(const PolicyLossInputs& in) {
  const auto log_probs = masked(in.log_probs, in.mask);
  return {.log_probs = log_probs,
          .log_ratio = log_probs - masked(in.old_log_probs, in.mask).detach(),
          .advantages = masked(in.advantages, in.mask).detach(),
          .mask = in.mask,
          .rollout_offsets = in.rollout_offsets};
}

// Counts the flagged tokens that the mask lets through, so that no loss has to see to it that masked tokens are not
// flagged.
at::Tensor count(const at::Tensor& flags, const PolicyLossInputs& inputs) {
  if (!flags.defined()) return at::zeros({}, inputs.log_probs.options().dtype(at::kLong).requires_grad(false));
  return (inputs.mask.defined() ? flags & inputs.mask : flags).sum();
}

}  // namespace

at::Tensor ratio_of(const at::Tensor& log_ratio) { return log_ratio.clamp(-kMaxLogRatio, kMaxLogRatio).exp(); }

std::vector<std::string> enum_names(Loss) {
  std::vector<std::string> names;
  for (const LossRow& row : kLosses) names.emplace_back(row.name);
  return names;
}

void validate(const PolicyLossConfig& config) {
  if (!config.dual_clip || row_of(config.loss).has_dual_clip) return;
  throw base::ConfigError(base::concat("algorithm.dual_clip: loss ", row_of(config.loss).name,
                                       " has no dual clip; use loss clip or gspo, or leave it null"));
}

PolicyLoss policy_loss(const PolicyLossConfig& config, const PolicyLossInputs& inputs) {
  validate(config);
  GRPO_CHECK(!compares_sequences(config.loss), "loss ", row_of(config.loss).name, " is no sum over tokens");
  check_shapes(inputs);
  const auto loss = row_of(config.loss).terms(config, tokens_of(inputs));
  const auto ratio = masked(loss.ratio.detach(), inputs.mask);
  const auto ratio_max = ratio.numel() == 0 ? at::zeros({}, ratio.options()) : ratio.max();
  PolicyLoss out{
      .terms = masked(loss.terms, inputs.mask),
      .measures = {{"clip_fraction", Fold::kMean, count(loss.clipped, inputs)}, {"ratio/max", Fold::kMax, ratio_max}}};
  if (config.dual_clip) out.measures.push_back({"clip_fraction/dual", Fold::kMean, count(loss.dual_clipped, inputs)});
  return out;
}

}  // namespace grpo::algo
