#include "grpo/nn/product_path.h"

#include <string_view>

#include "grpo/base/error.h"
#include "grpo/kernels/product.h"
#include "nn/onednn.h"

namespace grpo::nn {
namespace {

enum class Isa { kGeneric, kAvx2, kAvx512 };

Isa instruction_set() {
  const std::string_view name = kernels::cpu_instruction_set();
  return name == "avx512" ? Isa::kAvx512 : name == "avx2" ? Isa::kAvx2 : Isa::kGeneric;
}

}  // namespace

ProductPath product_path(at::ScalarType dtype) {
  const bool fp32 = dtype == at::kFloat;
  if (!fp32 && dtype != at::kBFloat16) return ProductPath::kLibTorch;
  const Isa isa = instruction_set();
  const bool suits_onednn = fp32 ? isa != Isa::kAvx2 : isa == Isa::kAvx512;
  return suits_onednn && onednn::available() ? ProductPath::kOneDnn : ProductPath::kOwn;
}

std::string describe_product_path(at::ScalarType dtype) {
  const std::string isa = kernels::cpu_instruction_set();
  switch (product_path(dtype)) {
    case ProductPath::kOneDnn:
      return base::concat("oneDNN, the faster one with ", isa);
    case ProductPath::kOwn:
      break;
    case ProductPath::kLibTorch:
      return "LibTorch's own";
  }
  if (!onednn::available()) return base::concat("our own with ", isa, ": this LibTorch has no oneDNN");
  if (dtype == at::kFloat) return base::concat("our own, faster than oneDNN with ", isa);
  return base::concat("our own with ", isa, ": oneDNN multiplies bf16 only with AVX-512");
}

bool is_slow_here(at::ScalarType dtype) { return dtype == at::kBFloat16 && instruction_set() == Isa::kGeneric; }

}  // namespace grpo::nn
