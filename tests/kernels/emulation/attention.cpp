#include "kernels/cuda/attention.h"

#include "grpo/base/error.h"
#include "kernels/cuda/graph.h"
#include "kernels/page_lists.h"

// FlashInfer's kernels are not emulated: every layout goes without a schedule to the simple attention kernel.

namespace grpo::kernels::cuda {
namespace {

class EmulatedPlanner : public AttentionPlanner {
 public:
  PagedLayout plan(const PagedLayout& host, Upload& upload) override { return send_layout(host, upload, 0); }
};

}  // namespace

std::unique_ptr<AttentionPlanner> plan_attention(const AttentionShape&, at::Device, int64_t) {
  return std::make_unique<EmulatedPlanner>();
}

void run_scheduled(const AttentionSchedule&, const at::Tensor&, const PagedKv&, const PagedLayout&, double,
                   at::Tensor&) {
  throw base::Error("attention with a schedule is not emulated");
}

std::unique_ptr<Graph> capture_graph(at::Device, const std::function<void()>& work) {
  return kernels::capture_graph(at::kCPU, work);
}

void push_range(const char*) {}
void pop_range() {}

}  // namespace grpo::kernels::cuda
