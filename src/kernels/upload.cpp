#include "grpo/kernels/upload.h"

#include <ATen/ATen.h>

#include "grpo/base/error.h"

namespace grpo::kernels {

at::Tensor Upload::operator()(const at::Tensor& host) {
  if (device_.is_cpu() && !in_place_) return host;
  // The allocator of pinned memory keeps what a copy still reads.
  const auto source = device_.is_cpu() ? host : host.pin_memory();
  if (!in_place_) return source.to(device_, /*non_blocking=*/true);
  if (next_ == memory_.size()) memory_.push_back(at::empty(host.sizes(), host.options().device(device_)));
  auto& memory = memory_[next_++];
  GRPO_CHECK(memory.sizes() == host.sizes(), "a pass in place of ", host.sizes(), " after one of ", memory.sizes());
  return memory.copy_(source, /*non_blocking=*/true);
}

}  // namespace grpo::kernels
