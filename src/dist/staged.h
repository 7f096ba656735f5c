#pragma once

#include <ATen/core/Tensor.h>

namespace grpo::dist {

/// A tensor in the form that a process group takes: contiguous, flat, and on the CPU, or on its own device
/// if `stays`. store() copies what a collective wrote back into the tensor. Throws std::logic_error for a
/// dtype that collectives do not take.
class Staged {
 public:
  Staged(const at::Tensor& tensor, bool stays);
  void store();
  at::Tensor flat;

 private:
  at::Tensor original_;
};

}  // namespace grpo::dist
