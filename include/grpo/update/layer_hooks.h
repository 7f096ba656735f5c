#pragma once

#include "grpo/models/causal_lm.h"
#include "grpo/optim/optimizer.h"

namespace grpo::update {

/// Hooks that call the optimizer before and after each layer of the model's passes (optim::Optimizer says what it does
/// there). The optimizer must outlive the hooks.
models::LayerHooks layer_hooks(optim::Optimizer& optimizer);

}  // namespace grpo::update
