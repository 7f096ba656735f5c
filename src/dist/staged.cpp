#include "dist/staged.h"

#include <ATen/TensorOperators.h>

#include "grpo/base/error.h"

namespace grpo::dist {
namespace {

bool is_known(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
    case at::kDouble:
    case at::kHalf:
    case at::kBFloat16:
    case at::kChar:
    case at::kByte:
    case at::kInt:
    case at::kLong:
      return true;
    default:
      return false;
  }
}

}  // namespace

Staged::Staged(const at::Tensor& tensor, bool stays) : original_(tensor.detach()) {
  GRPO_CHECK(is_known(tensor.scalar_type()), "a collective was given ", tensor.dtype());
  flat = (stays ? original_ : original_.to(at::kCPU)).contiguous().view({-1});
}

void Staged::store() {
  if (flat.data_ptr() != original_.data_ptr()) original_.copy_(flat.view(original_.sizes()));
}

}  // namespace grpo::dist
