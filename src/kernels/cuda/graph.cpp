#include "kernels/cuda/graph.h"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <nvtx3/nvToolsExt.h>

#include <map>
#include <mutex>

#include "kernels/cuda/operands.h"
#include "kernels/cuda/while_used.h"

// CUDA's own functions instead of at::cuda::CUDAGraph: where a capture fails, that class leaves the allocator as if it
// went on (LibTorch 2.11), and the cause is lost.

namespace grpo::kernels::cuda {
namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

// A device's graphs take the memory of their results from one pool. The allocator refuses to record into a pool whose
// last graph has died, so that the graphs after it get another one.
struct Pool {
  const at::cuda::MempoolId_t id = at::cuda::graph_pool_handle();
};

// Keeps the places of a graph's results in the pool while the graph lives. Until stop(), the allocator takes the memory
// for work on the stream from the pool.
class PoolMemory {
 public:
  PoolMemory(at::DeviceIndex device, std::shared_ptr<Pool> pool, cudaStream_t stream)
      : device_(device), pool_(std::move(pool)) {
    allocator::beginAllocateToPool(device_, pool_->id, [stream](cudaStream_t other) { return other == stream; });
  }
  ~PoolMemory() {
    stop();
    allocator::releasePool(device_, pool_->id);
  }
  PoolMemory(const PoolMemory&) = delete;

  void stop() {
    if (serving_) allocator::endAllocateToPool(device_, pool_->id);
    serving_ = false;
  }

 private:
  const at::DeviceIndex device_;
  const std::shared_ptr<Pool> pool_;
  bool serving_ = true;
};

// From its construction to end() launches on the stream are recorded. Other threads (the verifier, the writer of a
// checkpoint) may call CUDA meanwhile.
class Capture {
 public:
  explicit Capture(cudaStream_t stream) : stream_(stream) {
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "recording a graph");
  }
  // If the work has thrown, the stream must become usable again without a second exception.
  ~Capture() {
    if (recording_) drop();
  }
  Capture(const Capture&) = delete;

  cudaGraph_t end() {
    recording_ = false;
    cudaGraph_t graph = nullptr;
    const cudaError_t status = cudaStreamEndCapture(stream_, &graph);
    if (status != cudaSuccess) cudaGetLastError();  // clears the error, which the next launch would report as its own
    check(status, "the end of a graph's recording");
    return graph;
  }

 private:
  void drop() {
    cudaGraph_t graph = nullptr;
    cudaStreamEndCapture(stream_, &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    cudaGetLastError();
  }

  const cudaStream_t stream_;
  bool recording_ = true;
};

// During a capture the allocator cannot give cached memory back to the driver, so an allocation that finds the device
// full would fail. A step with the logits of 512 rows takes less than kBytes.
void make_room() {
  constexpr size_t kBytes = 1'500'000'000;
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "free device memory");
  if (free < kBytes) allocator::emptyCache();
}

// What the graphs of a device share.
struct Recorder {
  // The default stream cannot be captured. All graphs share one stream, since cuBLAS keeps a workspace for each stream
  // that it has seen, and that of a capture lies in the pool. The stream has high priority: an update beside the
  // rollout takes its own from the streams of normal priority, so it can never get this one and have its work recorded.
  // Recorded work keeps the priority, so decoding goes before such an update.
  const c10::cuda::CUDAStream side = c10::cuda::getStreamFromPool(/*isHighPriority=*/true);
  WhileUsed<Pool> pool;
};

Recorder& recorder_of(at::DeviceIndex device) {
  static std::mutex mutex;
  static std::map<at::DeviceIndex, Recorder> recorders;
  const std::lock_guard lock(mutex);
  return recorders[device];
}

class DeviceGraph : public Graph {
 public:
  DeviceGraph(at::DeviceIndex device, Recorder& recorder, const std::function<void()>& work)
      : memory_(device, recorder.pool.get(), recorder.side.stream()) {
    const c10::cuda::CUDAStreamGuard guard(recorder.side);
    Capture capture(recorder.side.stream());
    work();
    const cudaGraph_t graph = capture.end();
    memory_.stop();
    const cudaError_t status = cudaGraphInstantiateWithFlags(
        &launchable_, graph, cudaGraphInstantiateFlagAutoFreeOnLaunch | cudaGraphInstantiateFlagUseNodePriority);
    cudaGraphDestroy(graph);
    check(status, "a graph");
  }
  ~DeviceGraph() override { cudaGraphExecDestroy(launchable_); }

  void replay() override { check(cudaGraphLaunch(launchable_, stream()), "a graph's launch"); }

 private:
  PoolMemory memory_;  // outlives the graph
  cudaGraphExec_t launchable_ = nullptr;
};

}  // namespace

void push_range(const char* name) { nvtxRangePushA(name); }
void pop_range() { nvtxRangePop(); }

std::unique_ptr<Graph> capture_graph(at::Device device, const std::function<void()>& work) {
  const c10::cuda::CUDAGuard guard(device);
  c10::cuda::getCurrentCUDAStream().synchronize();  // what was launched before is done first
  make_room();
  const auto index = c10::cuda::current_device();
  return std::make_unique<DeviceGraph>(index, recorder_of(index), work);
}

}  // namespace grpo::kernels::cuda
