#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <optional>
#include <vector>

namespace grpo::kernels {

/// Copies small tensors from one device to the host without waiting, in the order of the device's current stream.
class Download {
 public:
  /// Starts the copies. Tensors that are on the host already are taken as they are. If all tensors are parts of one
  /// memory, one copy brings everything from the first to the last of them.
  explicit Download(const std::vector<at::Tensor>& tensors);

  /// Waits until the copies are done; then the tensors may be read.
  void wait();
  const at::Tensor& operator[](size_t i) const { return host_[i]; }

 private:
  std::vector<at::Tensor> host_;
  std::optional<c10::Event> copied_;
};

}  // namespace grpo::kernels
