#pragma once

#include "grpo/models/causal_lm.h"
#include "grpo/optim/optimizer.h"

namespace grpo::update {

/// Hooks by which the optimizer works around each layer of the model's passes (optim::Optimizer says what it does
/// there). The optimizer must outlive them.
models::LayerHooks layer_hooks(optim::Optimizer& optimizer);

}  // namespace grpo::update
