#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace grpo::kernels {

/// Takes a pass's small host tensors to a device without waiting: into new memory, or (in place) into the same memory in every
/// pass, as a graph wants it.
class Upload {
 public:
  Upload(at::Device device, bool in_place) : device_(device), in_place_(in_place) {}

  /// The next pass asks for the same tensors in the same order. In place, each has the size it had in the first pass.
  void begin_pass() { next_ = 0; }

  /// host: not pinned; may change as soon as the call returns.
  at::Tensor operator()(const at::Tensor& host);

 private:
  at::Device device_;
  bool in_place_;
  size_t next_ = 0;
  std::vector<at::Tensor> memory_;
};

}  // namespace grpo::kernels
