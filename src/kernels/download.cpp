#include "grpo/kernels/download.h"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace grpo::kernels {
namespace {

at::Tensor to_host(const at::Tensor& x) {
  if (x.is_cpu()) return x;
  return at::empty(x.sizes(), x.options().device(at::kCPU).pinned_memory(true)).copy_(x, /*non_blocking=*/true);
}

}  // namespace

Download::Download(const std::vector<at::Tensor>& tensors) {
  for (const auto& tensor : tensors) host_.push_back(to_host(tensor));
  if (tensors.empty() || tensors.front().is_cpu()) return;
  const auto device = tensors.front().device();
  copied_.emplace(device.type());
  copied_->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
}

void Download::wait() {
  if (copied_) copied_->synchronize();
}

}  // namespace grpo::kernels
