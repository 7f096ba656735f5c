#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace grpo::nn {

/// The rows of all parts, [sum of n_i, ...]. Parts that lie one behind the other in one piece of memory, as models keep
/// the weights that read the same input, are a view of it; others are copied. Undefined when all parts are; otherwise
/// none may be.
at::Tensor join_rows(const std::vector<at::Tensor>& parts);

/// Pieces of x along `dim`, as long as the parts' rows: views that autograd takes for tensors of their own.
std::vector<at::Tensor> split_like(const at::Tensor& x, const std::vector<at::Tensor>& parts, int64_t dim);

}  // namespace grpo::nn
