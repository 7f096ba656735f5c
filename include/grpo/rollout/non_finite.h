#pragma once

#include "grpo/base/error.h"

namespace grpo::rollout {

/// Thrown by Session::advance() and Engine::generate() for logits that are NaN or all infinite:
/// the weights have become useless.
class NonFiniteLogits : public base::Error {
  using Error::Error;
};

}  // namespace grpo::rollout
