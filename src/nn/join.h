#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace grpo::nn {

/// Joins the rows of all parts: [sum of n_i, ...]. If the parts lie one behind the other in one piece of memory, as
/// models keep weights that read the same input, the result is a view of them; otherwise they are copied. Undefined if
/// all parts are undefined. REQUIRES: all parts are defined or none is.
at::Tensor join_rows(const std::vector<at::Tensor>& parts);

/// Cuts x along `dim` into pieces that have as many rows as the parts. The pieces are views, but autograd
/// treats them as independent tensors.
std::vector<at::Tensor> split_like(const at::Tensor& x, const std::vector<at::Tensor>& parts, int64_t dim);

}  // namespace grpo::nn
