#pragma once

#include <ATen/core/Tensor.h>

namespace grpo::dist {

/// A tensor as a process group takes it: dense, flat, and on the CPU unless `stays`, where the group is its device's
/// own. store() brings back what a collective wrote. Throws std::logic_error for a dtype that no collective takes.
class Staged {
 public:
  Staged(const at::Tensor& tensor, bool stays);
  void store();
  at::Tensor flat;

 private:
  at::Tensor original_;
};

}  // namespace grpo::dist
