#pragma once

#include "grpo/models/causal_lm.h"
#include "grpo/optim/adamw.h"

namespace grpo::update {

/// Lets the optimizer work around each layer of the model's passes: see AdamW. It must outlive them.
models::LayerHooks layer_hooks(optim::AdamW& optimizer);

}  // namespace grpo::update
