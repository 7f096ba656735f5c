#pragma once

#include "grpo/models/causal_lm.h"
#include "grpo/optim/optimizer.h"

namespace grpo::update {

/// Lets the optimizer work around each layer of the model's passes: see optim::Optimizer. It must outlive them.
models::LayerHooks layer_hooks(optim::Optimizer& optimizer);

}  // namespace grpo::update
