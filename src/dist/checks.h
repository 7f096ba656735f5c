#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "grpo/base/error.h"

namespace grpo::dist {

// Every implementation checks the same: what would fail with several ranks fails with one.
inline void check_tensor(const at::Tensor& tensor) { GRPO_CHECK(tensor.defined(), "a collective was given no tensor"); }

inline void check_name(const std::string& name) { GRPO_CHECK(!name.empty(), "a barrier needs a name"); }

/// whole: `size` parts.
inline void check_parts(const at::Tensor& part, const at::Tensor& whole, int64_t size) {
  check_tensor(part);
  check_tensor(whole);
  GRPO_CHECK(whole.numel() == size * part.numel(), "a part of ", part.numel(), " elements for each of ", size,
             " ranks does not make ", whole.numel());
  GRPO_CHECK(part.scalar_type() == whole.scalar_type(), "a part of ", part.dtype(), " in a whole of ", whole.dtype());
}

}  // namespace grpo::dist
