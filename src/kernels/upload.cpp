#include "grpo/kernels/upload.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <cstring>

#include "grpo/base/error.h"

namespace grpo::kernels {
namespace {

constexpr int64_t kAlignment = 16;

int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

at::Tensor Upload::operator()(const at::Tensor& host) const {
  GRPO_CHECK(!in_place_, "an upload in place of a tensor by itself");
  // The allocator of pinned memory does not hand out again what a copy still reads.
  return device_.is_cpu() ? host : host.pin_memory().to(device_, /*non_blocking=*/true);
}

size_t Upload::add(const at::Tensor& host, int64_t capacity) {
  GRPO_CHECK(host.is_contiguous(), "an upload of ", host.sizes(), " with strides ", host.strides());
  const int64_t room = in_place_ && capacity > 0 ? capacity : host.numel();
  GRPO_CHECK(host.numel() <= room, "an upload of ", host.numel(), " elements where there is room for ", room);
  parts_.push_back({.host = host, .capacity = room, .offset = 0});
  return parts_.size() - 1;
}

void Upload::send() {
  if (device_.is_cpu() && !in_place_) {
    sent_.clear();
    for (const Part& part : parts_) sent_.push_back(part.host);
  } else if (!parts_.empty()) {
    place_parts();
    const auto packed = pack();
    memory_.narrow(0, 0, packed.numel()).copy_(packed, /*non_blocking=*/true);
  }
  parts_.clear();
}

// Makes memory for all parts; with an upload in place it stays that of the first pass.
void Upload::place_parts() {
  int64_t bytes = 0;
  for (Part& part : parts_) {
    part.offset = bytes;
    bytes = aligned(bytes + part.capacity * part.host.element_size());
  }
  if (in_place_ && memory_.defined()) {
    GRPO_CHECK(parts_.size() == sent_.size(), "a pass in place of ", parts_.size(), " tensors after one of ",
               sent_.size());
    for (size_t i = 0; i < parts_.size(); ++i)
      GRPO_CHECK(parts_[i].capacity == sent_[i].numel() && parts_[i].host.scalar_type() == sent_[i].scalar_type(),
                 "a pass in place whose tensor ", i, " has ", parts_[i].capacity, " elements after one with ",
                 sent_[i].numel());
    return;
  }
  memory_ = at::empty({bytes}, at::TensorOptions(device_).dtype(at::kByte));
  view_parts();
}

void Upload::view_parts() {
  sent_.clear();
  for (const Part& part : parts_) {
    const auto bytes = memory_.narrow(0, part.offset, part.capacity * part.host.element_size());
    const auto values = bytes.view(part.host.scalar_type());
    sent_.push_back(part.capacity == part.host.numel() ? values.view(part.host.sizes()) : values);
  }
}

// The contents of all parts, up to the end of the last one.
at::Tensor Upload::pack() const {
  const auto size_of = [](const Part& part) { return static_cast<int64_t>(part.host.nbytes()); };
  const auto options = at::TensorOptions(at::kCPU).dtype(at::kByte).pinned_memory(device_.is_cuda());
  auto packed = at::empty({parts_.back().offset + size_of(parts_.back())}, options);
  auto* bytes = packed.mutable_data_ptr<uint8_t>();
  for (const Part& part : parts_) {
    if (size_of(part) > 0)
      std::memcpy(bytes + part.offset, part.host.const_data_ptr(), static_cast<size_t>(size_of(part)));
  }
  return packed;
}

}  // namespace grpo::kernels
