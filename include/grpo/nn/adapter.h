#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace grpo::nn {

/// Elements of an input that a training pass leaves out. Whether one is left out is a function of its row's key, its
/// column and `key` alone: it is the same when a layer is computed again, whatever is packed together, on every rank.
struct Dropout {
  double p = 0.0;        // the probability; what stays is divided by 1 - p
  int64_t key = 0;       // of the layer
  at::Tensor rows = {};  // [T] int64: keys of the tokens; undefined: nothing is left out
  bool is_on() const { return p > 0.0 && rows.defined(); }
};

/// x with what is left out set to 0, and the rest divided by 1 - p; x itself where the dropout is off. Differentiable.
/// x: [T, D].
at::Tensor dropped(const at::Tensor& x, const Dropout& dropout);

/// What is added to a linear layer's weight W without touching it (LoRA, arXiv 2106.09685): W counts as W + scale b a,
/// and the layer gives x W^T + bias + scale (dropped(x) a^T) b^T.
struct Adapter {
  at::Tensor a;  // [rank, in]; undefined: there is no adapter
  at::Tensor b;  // [out, rank]
  double scale = 1.0;
  Dropout dropout = {};
  bool is_there() const { return a.defined(); }
};

/// out += scale (dropped(x) a^T) b^T, without autograd. x: [T, in]; out: [T, out] of any strides. Nothing happens
/// without an adapter. On a GPU it can be recorded into a graph.
void add_low_rank(at::Tensor out, const at::Tensor& x, const Adapter& adapter);

}  // namespace grpo::nn
