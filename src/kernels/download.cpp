#include "grpo/kernels/download.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>

namespace grpo::kernels {
namespace {

at::Tensor to_host(const at::Tensor& x) {
  if (x.is_cpu()) return x;
  return at::empty(x.sizes(), x.options().device(at::kCPU).pinned_memory(true)).copy_(x, /*non_blocking=*/true);
}

int64_t first_byte(const at::Tensor& x) { return x.storage_offset() * x.element_size(); }
int64_t end_byte(const at::Tensor& x) { return first_byte(x) + static_cast<int64_t>(x.nbytes()); }

bool lie_together(const std::vector<at::Tensor>& tensors) {
  return tensors.size() > 1 && std::all_of(tensors.begin(), tensors.end(), [&](const at::Tensor& x) {
           return x.is_contiguous() && x.storage().is_alias_of(tensors.front().storage());
         });
}

// Brings everything that lies between the first and the last of the tensors to the host, in one copy.
std::vector<at::Tensor> to_host_together(const std::vector<at::Tensor>& tensors) {
  int64_t first = first_byte(tensors.front()), end = end_byte(tensors.front());
  for (const auto& tensor : tensors) {
    first = std::min(first, first_byte(tensor));
    end = std::max(end, end_byte(tensor));
  }
  auto bytes = at::empty({0}, tensors.front().options().dtype(at::kByte));
  const auto host = to_host(bytes.set_(tensors.front().storage(), first, {end - first}, {1}));
  std::vector<at::Tensor> parts;
  for (const auto& tensor : tensors) {
    const auto part = host.narrow(0, first_byte(tensor) - first, static_cast<int64_t>(tensor.nbytes()));
    parts.push_back(part.view(tensor.scalar_type()).view(tensor.sizes()));
  }
  return parts;
}

}  // namespace

Download::Download(const std::vector<at::Tensor>& tensors) {
  if (lie_together(tensors)) {
    host_ = to_host_together(tensors);
  } else {
    for (const auto& tensor : tensors) host_.push_back(to_host(tensor));
  }
  if (tensors.empty() || tensors.front().is_cpu()) return;
  const auto device = tensors.front().device();
  copied_.emplace(device.type());
  copied_->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
}

void Download::wait() {
  if (copied_) copied_->synchronize();
}

}  // namespace grpo::kernels
