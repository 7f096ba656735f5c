#include "device/operators/copies.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/copy_native.h>

#include "device/operators/aliases.h"

namespace grpo::host_device {
namespace {

bool is_plain(const at::Tensor& to, const at::Tensor& from) {
  return to.scalar_type() == from.scalar_type() && to.is_contiguous() && from.is_contiguous() &&
         to.sizes() == from.sizes();
}

at::Tensor& copy_(at::Tensor& self, const at::Tensor& from, bool non_blocking) {
  if (!on_device(self) || !on_device(from) || is_plain(self, from)) return at::native::copy_(self, from, non_blocking);
  launch_kernel("aten::copy_", {self, from},
                [to = DeviceTensor(self), from = DeviceTensor(from)] { to.alias().copy_(from.alias()); });
  return self;
}

}  // namespace

void register_copies(torch::Library& library, std::set<std::string>& names) {
  library.impl("copy_", TORCH_FN(copy_));
  names.insert("copy_");
}

}  // namespace grpo::host_device
