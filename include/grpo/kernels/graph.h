#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>

namespace grpo::kernels {

/// A device's work that was recorded once and starts again with one call.
class Graph {
 public:
  virtual ~Graph() = default;
  /// Starts the work in the order of the device's current stream. It reads and writes the memory it was captured with.
  virtual void replay() = 0;
};

/// Captures `work`, which must have run once before and may only launch on the current stream: it must not wait or copy
/// from unpinned memory. On CUDA it is recorded instead of run. The memory that it allocates comes from a pool that
/// graphs share: another graph may overwrite its results, except tensors that are still held. On the CPU each replay
/// calls `work`.
std::unique_ptr<Graph> capture_graph(at::Device device, const std::function<void()>& work);

}  // namespace grpo::kernels
