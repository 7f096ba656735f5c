#pragma once

#include "grpo/base/error.h"

namespace grpo::rollout {

/// Engine::sample met logits that are NaN or all infinite: the weights are of no use any more.
class NonFiniteLogits : public base::Error {
  using Error::Error;
};

}  // namespace grpo::rollout
