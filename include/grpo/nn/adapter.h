#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace grpo::nn {

/// Dropout of a training pass. Whether an element is dropped depends only on its token's key, its column
/// and `key`. So the result is the same on every rank, whatever is packed together, and when a layer is
/// computed again in the backward.
struct Dropout {
  double p = 0.0;              // probability that an element is dropped; the others are divided by 1 - p
  int64_t key = 0;             // key of the layer
  at::Tensor token_keys = {};  // [T] int64: keys of the tokens; undefined: nothing is dropped
  bool is_on() const { return p > 0.0 && token_keys.defined(); }
};

/// x [T, D] with dropped elements set to 0 and the others divided by 1 - p; x itself if the
/// dropout is off. Differentiable.
at::Tensor dropped(const at::Tensor& x, const Dropout& dropout);

/// What is added to a linear layer whose weight W stays as it is (LoRA, arXiv 2106.09685). The layer gives x W^T + bias
/// + scale (dropped(x) a^T) b^T, as if its weight were W + scale b a.
struct Adapter {
  at::Tensor a;  // [rank, in]; undefined: no adapter
  at::Tensor b;  // [out, rank]
  double scale = 1.0;
  Dropout dropout = {};
  bool is_there() const { return a.defined(); }
};

/// out += scale (dropped(x) a^T) b^T, without autograd. x: [T, in]; out: [T, out] of any strides. Does nothing without
/// an adapter. On a GPU it can be captured into a graph.
void add_low_rank(at::Tensor out, const at::Tensor& x, const Adapter& adapter);

}  // namespace grpo::nn
