#pragma once

#include "grpo/models/model_config.h"

namespace grpo::testing {

/// The shape of a model that no test runs. Only its sizes are needed, to count the work of a sequence.
inline models::ModelConfig small_shape() {
  models::ModelConfig model;
  model.vocab_size = 100;
  model.hidden_size = 16;
  model.intermediate_size = 32;
  model.num_layers = 2;
  model.num_heads = 2;
  model.num_kv_heads = 2;
  model.head_dim = 8;
  return model;
}

}  // namespace grpo::testing
