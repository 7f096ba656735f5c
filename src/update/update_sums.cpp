#include "update/update_sums.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "grpo/algo/kl.h"
#include "grpo/base/error.h"

namespace grpo::update {
namespace {

enum Sum : int64_t { kLoss, kClipped, kKl, kEntropy, kNumSums };

}  // namespace

UpdateSums::UpdateSums(at::Device device)
    : sums_(at::zeros({kNumSums}, at::TensorOptions(device).dtype(at::kDouble))),
      ratio_max_(at::zeros({}, sums_.options())) {}

void UpdateSums::add(const algo::PolicyLoss& loss) {
  const at::NoGradGuard no_grad;
  sums_[kClipped].add_(loss.clipped_tokens);
  ratio_max_ = at::maximum(ratio_max_, loss.ratio_max.to(at::kDouble));
}

void UpdateSums::add(const at::Tensor& loss, const at::Tensor& sampler_log_probs, const at::Tensor& log_probs,
                     const at::Tensor& entropy) {
  const at::NoGradGuard no_grad;
  sums_[kLoss].add_(loss);
  if (sampler_log_probs.defined())
    sums_[kKl].add_(algo::kl_penalty(sampler_log_probs, log_probs, algo::KlEstimator::kK3).sum());
  sums_[kEntropy].add_(entropy.sum());
}

void UpdateSums::send() { on_the_way_.emplace(std::vector<at::Tensor>{sums_, ratio_max_}); }

UpdateStats UpdateSums::receive() {
  GRPO_CHECK(on_the_way_, "the sums were not sent");
  on_the_way_->wait();
  const double* sums = (*on_the_way_)[0].const_data_ptr<double>();
  UpdateStats stats;
  stats.loss = sums[kLoss];
  stats.clip_fraction = sums[kClipped];
  stats.kl_sampler = sums[kKl];
  stats.entropy = sums[kEntropy];
  stats.ratio_max = *(*on_the_way_)[1].const_data_ptr<double>();
  return stats;
}

}  // namespace grpo::update
