#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>

namespace grpo::kernels {

/// A device's work that was recorded once and starts again with one call.
class Graph {
 public:
  virtual ~Graph() = default;
  /// In the order of the device's current stream. Reads and writes the memory it was captured with.
  virtual void replay() = 0;
};

/// work: launches on the current stream and nothing else: no copies from unpinned memory, no waiting. It must have run
/// once before. On CUDA it is recorded, not run; memory it allocates is shared with other graphs, so of its results
/// only those that somebody holds last. On the CPU a graph is the work itself, done at each replay.
std::unique_ptr<Graph> capture_graph(at::Device device, const std::function<void()>& work);

}  // namespace grpo::kernels
