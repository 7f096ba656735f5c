#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace grpo::kernels {

/// Takes small host tensors to a device without waiting.
///
/// For the tensors of a pass: add() each, send() all in one copy, then read them with []. In place they lie in the same
/// memory in every pass, as a graph wants it. On the CPU, if not in place, they stay what they are.
class Upload {
 public:
  Upload(at::Device device, bool in_place) : device_(device), in_place_(in_place) {}

  /// A tensor by itself, into new memory. host: not pinned; may change as soon as the call returns. REQUIRES: not in
  /// place.
  at::Tensor operator()(const at::Tensor& host) const;

  /// Returns the tensor's number. It may change after send(). In place, later passes add tensors of the same type and
  /// size in the same order, except those with a capacity: they may hold fewer elements, and [] gives all `capacity` of
  /// them. What lies behind the last element of a pass is not copied: such a tensor is best added last.
  size_t add(const at::Tensor& host, int64_t capacity = 0);
  void send();

  /// On the device, until the next send(); in place for good.
  const at::Tensor& operator[](size_t number) const { return sent_[number]; }

 private:
  struct Part {
    at::Tensor host;
    int64_t capacity;  // elements
    int64_t offset;    // bytes from the start of the memory
  };

  void place_parts();
  void view_parts();
  at::Tensor pack() const;

  at::Device device_;
  bool in_place_;
  std::vector<Part> parts_;       // added since the last send()
  at::Tensor memory_;             // [bytes]
  std::vector<at::Tensor> sent_;  // views of it
};

}  // namespace grpo::kernels
