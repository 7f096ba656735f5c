#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <optional>
#include <vector>

namespace grpo::kernels {

/// Small tensors on their way from one device to the host, behind what its current stream has been given so far.
class Download {
 public:
  /// Tensors that are on the host already are taken as they are, without a copy. Those that share memory come in one
  /// copy of what lies between the first and the last of them.
  explicit Download(const std::vector<at::Tensor>& tensors);

  /// Waits for the device; then the tensors may be read.
  void wait();
  const at::Tensor& operator[](size_t i) const { return host_[i]; }

 private:
  std::vector<at::Tensor> host_;
  std::optional<c10::Event> copied_;
};

}  // namespace grpo::kernels
