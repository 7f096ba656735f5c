#include "grpo/models/sampling_places.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <array>

#include "models/decoder_weights.h"

namespace grpo::models {

void SamplingPlaces::prepare(const ModelConfig& config, at::ScalarType dtype, int64_t tokens) {
  if (tokens == tokens_) return;
  struct Matrix {
    at::Tensor& place;
    int64_t width;
  };
  const int64_t heads = config.num_heads, all_heads = heads + 2 * config.num_kv_heads;
  const std::array matrices = {Matrix{stream, config.hidden_size},
                               Matrix{normed, config.hidden_size},
                               Matrix{qkv, all_heads * config.head_dim},
                               Matrix{queries, heads * config.head_dim},
                               Matrix{attended_matrix, heads * config.head_dim},
                               Matrix{added, config.hidden_size},
                               Matrix{gate_up, 2 * config.intermediate_size},
                               Matrix{gated, config.intermediate_size},
                               Matrix{logits, config.value_head ? 1 : config.vocab_size}};
  int64_t elements = 0;
  for (const auto& matrix : matrices) elements += aligned(tokens * matrix.width);
  if (!memory_.defined() || memory_.numel() < elements || memory_.scalar_type() != dtype)
    memory_ = at::empty({elements}, at::TensorOptions(at::kCPU).dtype(dtype));
  int64_t begin = 0;
  for (const auto& matrix : matrices) {
    matrix.place = memory_.narrow(0, begin, tokens * matrix.width).view({tokens, matrix.width});
    begin += aligned(tokens * matrix.width);
  }
  this->heads = qkv.view({tokens, all_heads, config.head_dim});
  queries = queries.view({tokens, heads, config.head_dim});
  attended = attended_matrix.view({tokens, heads, config.head_dim});
  gate = gate_up.narrow(1, 0, config.intermediate_size);
  up = gate_up.narrow(1, config.intermediate_size, config.intermediate_size);
  tokens_ = tokens;
}

}  // namespace grpo::models
