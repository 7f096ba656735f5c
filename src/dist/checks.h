#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "grpo/base/error.h"

namespace grpo::dist {

// Every implementation makes the same checks, so that a wrong call which fails with several ranks also fails with one.
inline void check_tensor(const at::Tensor& tensor) { GRPO_CHECK(tensor.defined(), "a collective was given no tensor"); }

inline void check_name(const std::string& name) { GRPO_CHECK(!name.empty(), "a barrier needs a name"); }

inline bool is_narrow(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kBFloat16 || tensor.scalar_type() == at::kHalf;
}

/// Checks that `whole` consists of `size` parts as large as `part`.
inline void check_parts(const at::Tensor& part, const at::Tensor& whole, int64_t size) {
  check_tensor(part);
  check_tensor(whole);
  GRPO_CHECK(whole.numel() == size * part.numel(), "a part of ", part.numel(), " elements for each of ", size,
             " ranks does not make ", whole.numel());
}

inline void check_one_dtype(const at::Tensor& part, const at::Tensor& whole) {
  GRPO_CHECK(part.scalar_type() == whole.scalar_type(), "a part of ", part.dtype(), " in a whole of ", whole.dtype());
}

inline void check_all_gather(const at::Tensor& output, const at::Tensor& input, int64_t size) {
  check_parts(input, output, size);
  check_one_dtype(input, output);
}

inline void check_reduce_scatter(const at::Tensor& output, const at::Tensor& input, int64_t size) {
  check_parts(output, input, size);
  if (!(is_narrow(input) && output.scalar_type() == at::kFloat)) check_one_dtype(output, input);
}

}  // namespace grpo::dist
