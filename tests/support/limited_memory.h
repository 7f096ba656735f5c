#pragma once

#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace grpo::testing {

/// LibTorch's CPU memory with an end, while it lives: counts what is held from here on, and fails as a device's
/// allocator does beyond `limit` bytes.
class LimitedMemory : public c10::Allocator {
 public:
  explicit LimitedMemory(int64_t limit) : plain_(c10::GetCPUAllocator()) {
    limit_ = limit;
    held_ = most_ = 0;
    c10::SetCPUAllocator(this, /*priority=*/1);
  }
  ~LimitedMemory() override { c10::SetCPUAllocator(plain_, /*priority=*/1); }

  c10::DataPtr allocate(size_t bytes) override {
    const int64_t held = held_ += static_cast<int64_t>(bytes);
    most_ = std::max(most_.load(), held);
    // Its size lies before the data.
    auto* block = static_cast<std::byte*>(std::aligned_alloc(kHeader, (bytes + 2 * kHeader - 1) / kHeader * kHeader));
    *reinterpret_cast<size_t*>(block) = bytes;
    c10::DataPtr pointer(block + kHeader, block + kHeader, &release, c10::Device(c10::kCPU));
    TORCH_CHECK_WITH(OutOfMemoryError, held <= limit_, "no room for ", bytes, " bytes");
    return pointer;
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }

  int64_t most() const { return most_; }

 private:
  static constexpr size_t kHeader = 64;

  static void release(void* data) {
    auto* block = static_cast<std::byte*>(data) - kHeader;
    held_ -= static_cast<int64_t>(*reinterpret_cast<size_t*>(block));
    std::free(block);
  }

  c10::Allocator* plain_;
  inline static std::atomic<int64_t> limit_, held_, most_;
};

}  // namespace grpo::testing
