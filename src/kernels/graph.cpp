#include "grpo/kernels/graph.h"

#include "kernels/cuda/kernel_table.h"

namespace grpo::kernels {
namespace {

class HostGraph : public Graph {
 public:
  explicit HostGraph(std::function<void()> work) : work_(std::move(work)) {}
  void replay() override { work_(); }

 private:
  std::function<void()> work_;
};

}  // namespace

std::unique_ptr<Graph> capture_graph(at::Device device, const std::function<void()>& work) {
  if (device.is_cuda()) return cuda::kernels().capture_graph(device, work);
  return std::make_unique<HostGraph>(work);
}

}  // namespace grpo::kernels
