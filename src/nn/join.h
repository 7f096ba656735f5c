#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace grpo::nn {

/// Joins the rows of all parts: [sum of n_i, ...]. Where the parts lie one behind the other in one piece of memory, as
/// models keep the weights that read the same input, the result is a view of it; otherwise the parts are copied.
/// Undefined when all parts are undefined; otherwise none may be.
at::Tensor join_rows(const std::vector<at::Tensor>& parts);

/// Cuts x along `dim` into pieces that have as many rows as the parts. The pieces are views, which autograd takes for
/// tensors of their own.
std::vector<at::Tensor> split_like(const at::Tensor& x, const std::vector<at::Tensor>& parts, int64_t dim);

}  // namespace grpo::nn
