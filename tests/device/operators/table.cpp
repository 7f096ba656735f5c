// Takes over the operators of LibTorch's CUDA key when the library is loaded.
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/util/Exception.h>
#include <malloc.h>
#include <torch/library.h>

#include <set>
#include <string>

#include "device/host_device.h"
#include "device/operators/attention.h"
#include "device/operators/copies.h"
#include "device/operators/fallback.h"
#include "device/operators/products.h"
#include "device/operators/softmax.h"

namespace grpo::host_device {
namespace {

// Host code of LibTorch that launches nothing of its own: it stays.
bool stays(const std::string& name) {
  static const std::set<std::string> real = {
      "aten::empty",         "aten::empty_strided",       "aten::resize_",   "aten::set_",
      "aten::record_stream", "aten::_local_scalar_dense", "aten::is_set_to", "aten::_pin_memory",
      "aten::is_pinned",     "aten::_fused_sdp_choice"};
  return real.count(name) != 0;
}

// A view is no kernel either.
bool returns_a_view(const c10::FunctionSchema& schema) {
  for (const auto& result : schema.returns()) {
    if (result.alias_info() != nullptr && !result.alias_info()->isWrite()) return true;
  }
  return false;
}

std::string local_name(const c10::OperatorName& name) {
  return name.name.substr(std::string("aten::").size()) + (name.overload_name.empty() ? "" : "." + name.overload_name);
}

void take_over_all(torch::Library& library, const std::set<std::string>& by_hand) {
  for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) {
    if (name.name.rfind("aten::", 0) != 0 || stays(name.name) || by_hand.count(local_name(name)) != 0) continue;
    const auto op = c10::Dispatcher::singleton().findOp(name);
    if (!op || !op->hasSchema() || !op->hasKernelForDispatchKey(c10::DispatchKey::CUDA) || returns_a_view(op->schema()))
      continue;
    library.impl(local_name(name).c_str(), torch::CppFunction::makeFromBoxedFunction<&run_on_host>());
  }
}

// LibTorch's allocator tells of each piece that it hands out and takes back.
void watch_allocator() {
  using c10::cuda::CUDACachingAllocator::TraceEntry;
  c10::cuda::CUDACachingAllocator::attachAllocatorTraceTracker([](const TraceEntry& entry) {
    const auto* data = reinterpret_cast<const void*>(entry.addr_);
    if (entry.action_ == TraceEntry::ALLOC) on_allocated(data, entry.size_);
    if (entry.action_ == TraceEntry::FREE_COMPLETED)
      on_freed(data, entry.size_, static_cast<cudaStream_t>(entry.stream_));
  });
}

// LibTorch would warn of each operator that is registered again.
struct Silence : c10::WarningHandler {
  void process(const c10::Warning&) override {}
};

// The CPU's operators take memory for each call, which the C library would map anew each time: a third of a test's
// time.
void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

__attribute__((constructor)) void take_over() {
  keep_freed_memory();
  Silence silence;
  const c10::WarningUtils::WarningHandlerGuard guard(&silence);
  // Kept: what is registered goes when the library object does.
  static auto* const library =
      new torch::Library(torch::Library::IMPL, "aten", c10::DispatchKey::CUDA, __FILE__, __LINE__);
  std::set<std::string> by_hand;
  register_copies(*library, by_hand);
  register_attention(*library, by_hand);
  register_products(*library, by_hand);
  register_softmax(*library, by_hand);
  take_over_all(*library, by_hand);
  at::globalContext().lazyInitDevice(at::kCUDA);
  watch_allocator();
}

}  // namespace
}  // namespace grpo::host_device
