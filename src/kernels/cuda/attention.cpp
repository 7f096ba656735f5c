#include "kernels/cuda/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <vector>

#include "grpo/kernels/upload.h"
#include "kernels/cuda/decode_kernel.h"
#include "kernels/cuda/flashinfer.h"
#include "kernels/cuda/operands.h"
#include "kernels/page_lists.h"

namespace grpo::kernels::cuda {
namespace {

// Null when FlashInfer has no kernel for this shape or results have to be exact.
const FlashInferKernel* choose_kernel(const AttentionShape& shape, bool decodes) {
  if (shape.exact || shape.dtype != at::kBFloat16 || (shape.head_dim != 64 && shape.head_dim != 128)) return nullptr;
  if (decodes && !decodes_on_tensor_cores(shape.decode_kernel, shape.heads / shape.kv_heads))
    return shape.head_dim == 64 ? &kDecode64 : &kDecode128;
  return shape.head_dim == 64 ? &kPrefill64 : &kPrefill128;
}

struct FlashInferSchedule : AttentionSchedule {
  const FlashInferKernel* kernel = nullptr;
  Schedule numbers;
  HostPages sizes{};             // its pointers are not kept
  at::Tensor last_page_lengths;  // on the device
  Workspace workspace{};
};

// Pinned memory that FlashInfer copies a plan from after plan() has returned.
struct PinnedInts {
  at::Tensor memory;
  at::cuda::CUDAEvent copied;
};

// LibTorch does not see FlashInfer's copy. A planner may be gone before the device comes to the copies of its last
// passes, and the memory must not be handed out again until then.
void keep_until_copied(const at::Tensor& pinned) {
  at::getHostAllocator(at::kCUDA)->record_event(pinned.data_ptr(), pinned.storage().data_ptr().get_context(),
                                                c10::cuda::getCurrentCUDAStream());
}

class DevicePlanner : public AttentionPlanner {
 public:
  DevicePlanner(const AttentionShape& shape, at::Device device, int64_t page_capacity)
      : shape_(shape), device_(device), page_capacity_(page_capacity) {}

  PagedLayout plan(const PagedLayout& host, Upload& upload) override {
    const auto* kernel = choose_kernel(shape_, adds_one_token_each(host));
    if (kernel == nullptr || host.context_lengths.size(0) == 0) return send_layout(host, upload, page_capacity_);
    const size_t last_lengths = upload.add(last_page_lengths(host, shape_.page_size));
    auto layout = send_layout(host, upload, page_capacity_);
    auto planned = schedule(*kernel, host);
    planned->last_page_lengths = upload[last_lengths];
    layout.schedule = std::move(planned);
    return layout;
  }

 private:
  std::shared_ptr<FlashInferSchedule> schedule(const FlashInferKernel& kernel, const PagedLayout& host) {
    auto schedule = std::make_shared<FlashInferSchedule>();
    schedule->kernel = &kernel;
    schedule->sizes = {.query_offsets = host.query_offsets.const_data_ptr<int32_t>(),
                       .page_offsets = host.page_offsets.const_data_ptr<int32_t>(),
                       .sequences = host.context_lengths.size(0),
                       .heads = shape_.heads,
                       .kv_heads = shape_.kv_heads,
                       .page_size = shape_.page_size,
                       .fixed = page_capacity_ > 0};
    auto& pinned = pinned_[turn_++ % pinned_.size()];
    pinned.copied.synchronize();
    make_room(kernel.workspace(schedule->sizes, stream()), pinned);
    schedule->workspace = workspace(pinned);
    schedule->numbers = kernel.plan(schedule->sizes, schedule->workspace, stream());
    pinned.copied.record();
    keep_until_copied(pinned.memory);
    schedule->sizes.query_offsets = schedule->sizes.page_offsets = nullptr;
    schedule->launch = schedule->numbers;
    // The addresses belong to the numbers: a graph captured with a workspace that has been replaced must not serve.
    for (const void* memory : {schedule->workspace.floats, schedule->workspace.ints})
      schedule->launch.push_back(reinterpret_cast<int64_t>(memory));
    return schedule;
  }

  void make_room(const WorkspaceBytes& bytes, PinnedInts& pinned) {
    const auto grow = [](at::Tensor& memory, size_t least, const at::TensorOptions& options) {
      const auto size = static_cast<int64_t>(least);
      if (!memory.defined() || memory.numel() < size) memory = at::empty({size}, options.dtype(at::kByte));
    };
    grow(floats_, bytes.floats, at::TensorOptions(device_));
    grow(ints_, bytes.ints, at::TensorOptions(device_));
    grow(pinned.memory, bytes.ints, at::TensorOptions(at::kCPU).pinned_memory(true));
  }

  Workspace workspace(const PinnedInts& pinned) {
    return {.floats = floats_.data_ptr(),
            .float_bytes = static_cast<size_t>(floats_.numel()),
            .ints = ints_.data_ptr(),
            .host_ints = pinned.memory.data_ptr(),
            .int_bytes = static_cast<size_t>(std::min(ints_.numel(), pinned.memory.numel()))};
  }

  const AttentionShape shape_;
  const at::Device device_;
  const int64_t page_capacity_;
  at::Tensor floats_, ints_;
  std::array<PinnedInts, 4> pinned_;  // so that the host may be four passes ahead of the device without waiting
  size_t turn_ = 0;
};

}  // namespace

std::unique_ptr<AttentionPlanner> plan_attention(const AttentionShape& shape, at::Device device,
                                                 int64_t page_capacity) {
  return std::make_unique<DevicePlanner>(shape, device, page_capacity);
}

void run_scheduled(const AttentionSchedule& schedule, const at::Tensor& queries, const PagedKv& cache,
                   const PagedLayout& layout, double scale, at::Tensor& out) {
  const auto& planned = dynamic_cast<const FlashInferSchedule&>(schedule);
  planned.kernel->run(planned.numbers, planned.sizes,
                      {.query_offsets = layout.query_offsets.const_data_ptr<int32_t>(),
                       .page_offsets = layout.page_offsets.const_data_ptr<int32_t>(),
                       .page_ids = layout.page_ids.const_data_ptr<int32_t>(),
                       .last_page_lengths = planned.last_page_lengths.const_data_ptr<int32_t>()},
                      planned.workspace,
                      {.queries = queries.const_data_ptr(),
                       .out = out.mutable_data_ptr(),
                       .keys = cache.keys.const_data_ptr(),
                       .values = cache.values.const_data_ptr(),
                       .scale = static_cast<float>(scale)},
                      stream());
}

}  // namespace grpo::kernels::cuda
