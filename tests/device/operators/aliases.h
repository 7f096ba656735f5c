#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <vector>

#include "device/host_device.h"

// Tensors of the device as the CPU sees the same memory.

namespace grpo::host_device {

/// What a kernel knows of a tensor: no share in its memory, which may be freed and handed out again behind it.
struct DeviceTensor {
  explicit DeviceTensor(const at::Tensor& tensor);
  at::Tensor alias() const;
  Span span() const;

 private:
  void* data_;
  std::vector<int64_t> sizes_, strides_;
  at::ScalarType type_;
  bool wrapped_number_;
};

/// An operator's argument with each device tensor in it replaced.
template <typename Replace>
c10::IValue with_tensors(const c10::IValue& value, const Replace& replace) {
  if (value.isTensor()) return replace(value.toTensor());
  if (value.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(replace(tensor));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> list;
    for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorVector())
      list.push_back(tensor ? std::optional(replace(*tensor)) : std::nullopt);
    return list;
  }
  return value;
}

inline bool on_device(const at::Tensor& tensor) { return tensor.defined() && tensor.is_cuda(); }

/// Queues `run` as a kernel on the current stream. The tensors are those that it reads or writes.
void launch_kernel(std::string name, const std::vector<at::Tensor>& tensors, std::function<void()> run);

}  // namespace grpo::host_device
