#include "grpo/data/sampler.h"

#include <cmath>

#include "grpo/base/error.h"

namespace grpo::data {

PromptSampler::PromptSampler(int64_t num_prompts, uint64_t seed, bool shuffle)
    : num_prompts_(num_prompts), key_{.seed = seed, .stream = base::stream_id("shuffle")}, shuffle_(shuffle) {
  GRPO_CHECK(num_prompts >= 1, "num_prompts ", num_prompts);
}

int64_t PromptSampler::row_of(uint64_t draw) {
  const auto count = static_cast<uint64_t>(num_prompts_);
  const uint64_t place = draw % count;
  if (!shuffle_) return static_cast<int64_t>(place);
  const uint64_t epoch = draw / count;
  if (order_.empty() || epoch != epoch_) {
    order_ = base::permutation(key_, epoch, num_prompts_);
    epoch_ = epoch;
  }
  return order_[place];
}

int64_t num_steps(double epochs, int64_t num_prompts, int64_t prompts_per_step) {
  GRPO_CHECK(epochs >= 0 && num_prompts >= 0 && prompts_per_step >= 1, epochs, " ", num_prompts, " ", prompts_per_step);
  const double steps = epochs * static_cast<double>(num_prompts) / static_cast<double>(prompts_per_step);
  return static_cast<int64_t>(std::floor(steps * (1 + 1e-12) + 1e-9));
}

}  // namespace grpo::data
