#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace grpo::kernels {

/// Takes small host tensors to a device without waiting.
///
/// For the tensors of a pass: add() each, send() all in one copy, then read them with []. With `in_place` they lie in
/// the same memory in every pass, as a graph needs it. Without it, an upload to the CPU copies nothing: the host
/// tensors themselves are the results.
class Upload {
 public:
  Upload(at::Device device, bool in_place) : device_(device), in_place_(in_place) {}

  /// Copies one tensor into new memory of the device. `host` need not be pinned and may change once the call returns;
  /// on the CPU it is itself the result. REQUIRES: not in place.
  at::Tensor operator()(const at::Tensor& host) const;

  /// Returns the tensor's number for []. A tensor that is copied may change after send(). With `in_place`, every pass
  /// has to add tensors of the same types and sizes in the same order. A tensor with a capacity may hold fewer elements
  /// than that; [] then gives all `capacity` of them. Add it last, so that its unused elements are not copied.
  size_t add(const at::Tensor& host, int64_t capacity = 0);
  void send();

  /// A tensor on the device, valid until the next send(); with `in_place` it stays valid.
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
