#include "device/operators/aliases.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_strided.h>
#include <ATen/ops/from_blob.h>
#include <ATen/record_function.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/cuda/CUDAStream.h>

#include <stdexcept>

namespace grpo::host_device {
namespace {

// Kernels of tests are so small that a second thread costs more than it does, and where other programs run too it spins
// for most of the time.
class OneThread {
 public:
  OneThread() {
    if (before_ != 1) at::set_num_threads(1);
  }
  ~OneThread() {
    if (before_ != 1) at::set_num_threads(before_);
  }
  OneThread(const OneThread&) = delete;

 private:
  const int before_ = at::get_num_threads();
};

}  // namespace

DeviceTensor::DeviceTensor(const at::Tensor& tensor)
    : data_(tensor.numel() == 0 ? nullptr : tensor.data_ptr()),
      sizes_(tensor.sizes().vec()),
      strides_(tensor.strides().vec()),
      type_(tensor.scalar_type()),
      wrapped_number_(tensor.unsafeGetTensorImpl()->is_wrapped_number()) {}

at::Tensor DeviceTensor::alias() const {
  auto tensor = data_ == nullptr ? at::empty_strided(sizes_, strides_, type_)
                                 : at::from_blob(data_, sizes_, strides_, at::TensorOptions(type_));
  if (wrapped_number_) tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
  return tensor;
}

Span DeviceTensor::span() const {
  int64_t last = 0;
  for (size_t i = 0; i < sizes_.size(); ++i) last += (sizes_[i] - 1) * strides_[i];
  return {data_, data_ == nullptr ? 0 : static_cast<size_t>(last + 1) * c10::elementSize(type_)};
}

void launch_kernel(std::string name, const std::vector<at::Tensor>& tensors, std::function<void()> run) {
  std::vector<Span> memory;
  for (const at::Tensor& tensor : tensors) {
    if (on_device(tensor) && tensor.numel() > 0) memory.push_back(DeviceTensor(tensor).span());
  }
  // It may run later, on a thread in whatever state.
  launch(c10::cuda::getCurrentCUDAStream().stream(), {std::move(name), std::move(memory), [run = std::move(run)] {
                                                        const c10::impl::ForceDispatchKeyGuard plain(
                                                            c10::default_included_set, c10::default_excluded_set);
                                                        const at::AutoDispatchBelowADInplaceOrView guard;
                                                        const at::NoGradGuard no_grad;
                                                        const at::DisableRecordFunctionGuard quiet;
                                                        const OneThread one_thread;
                                                        try {
                                                          run();
                                                        } catch (const c10::Error& error) {
                                                          throw std::runtime_error(error.what_without_backtrace());
                                                        }
                                                      }});
}

}  // namespace grpo::host_device
