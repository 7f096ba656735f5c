#include "kernels/cuda/graph.h"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <nvtx3/nvToolsExt.h>

namespace grpo::kernels::cuda {
namespace {

class DeviceGraph : public Graph {
 public:
  explicit DeviceGraph(const std::function<void()>& work) {
    static const auto pool = at::cuda::graph_pool_handle();
    // The default stream cannot be captured. What was launched on the current one is done first. One stream for all
    // graphs: cuBLAS keeps a workspace for each stream it has seen, and those of a capture lie in the pool.
    // From the pool of urgent streams: an update that runs beside the rollout has its stream from the other one, where this could be
    // the same one and record its work too. What is recorded stays urgent, so decoding goes before such an update.
    static const auto side = c10::cuda::getStreamFromPool(/*isHighPriority=*/true);
    c10::cuda::getCurrentCUDAStream().synchronize();
    const c10::cuda::CUDAStreamGuard guard(side);
    // Other threads (the verifier, the writer of a checkpoint) may call CUDA meanwhile.
    graph_.capture_begin(pool, cudaStreamCaptureModeThreadLocal);
    try {
      work();
    } catch (...) {
      graph_.capture_end();
      throw;
    }
    graph_.capture_end();
  }

  void replay() override { graph_.replay(); }

 private:
  at::cuda::CUDAGraph graph_;
};

}  // namespace

void push_range(const char* name) { nvtxRangePushA(name); }
void pop_range() { nvtxRangePop(); }

std::unique_ptr<Graph> capture_graph(at::Device device, const std::function<void()>& work) {
  const c10::cuda::CUDAGuard guard(device);
  return std::make_unique<DeviceGraph>(work);
}

}  // namespace grpo::kernels::cuda
