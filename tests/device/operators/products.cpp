#include "device/operators/products.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>

#include "device/operators/aliases.h"

namespace grpo::host_device {
namespace {

// out = beta self + alpha a b, summed in `type`.
at::Tensor& addmm_out(const at::Tensor& self, const at::Tensor& a, const at::Tensor& b, at::ScalarType type,
                      const at::Scalar& beta, const at::Scalar& alpha, at::Tensor& out) {
  launch_kernel(
      "addmm with a type", {self, a, b, out},
      [sum = DeviceTensor(self), left = DeviceTensor(a), right = DeviceTensor(b), to = DeviceTensor(out), type, beta,
       alpha] {
        to.alias().copy_(at::addmm(sum.alias().to(type), left.alias().to(type), right.alias().to(type), beta, alpha));
      });
  return out;
}

}  // namespace

void register_products(torch::Library& library, std::set<std::string>& names) {
  library.impl("addmm.dtype_out", TORCH_FN(addmm_out));
  names.insert("addmm.dtype_out");
}

}  // namespace grpo::host_device
