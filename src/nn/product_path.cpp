#include "grpo/nn/product_path.h"

#include <ATen/cpu/Utils.h>
#include <strings.h>

#include <cstdlib>
#include <string_view>

#include "grpo/base/error.h"
#include "grpo/kernels/product.h"
#include "nn/onednn.h"

namespace grpo::nn {
namespace {

std::string_view instruction_set() { return kernels::cpu_instruction_set(); }

// Whether oneDNN's own variable leaves it the instructions for bf16. It knows newer sets under more names than these.
bool onednn_may_use_bf16() {
  const char* limit = nullptr;
  for (const char* name : {"ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"})
    limit = limit == nullptr ? std::getenv(name) : limit;
  if (limit == nullptr) return true;
  for (const char* without : {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}) {
    if (strcasecmp(limit, without) == 0) return false;
  }
  return true;
}

// Whether the processor multiplies bf16 itself, and oneDNN may let it. One with AMX has this, too.
bool onednn_multiplies_bf16() {
  static const bool allowed = onednn_may_use_bf16();
  return onednn::available() && instruction_set() == "avx512_bf16" && allowed;
}

// AMX multiplies tiles of bf16, which only oneDNN uses. The system has to let a process use it, as LibTorch asks it to.
bool onednn_uses_amx() {
  static const bool usable = at::cpu::init_amx();
  return onednn_multiplies_bf16() && usable;
}

std::string reason(at::ScalarType dtype, ProductPath path) {
  if (path == ProductPath::kOneDnn) return dtype == at::kBFloat16 ? ": AMX" : "";
  if (!onednn::available()) return ": LibTorch has no oneDNN";
  if (dtype == at::kFloat) return ", faster than oneDNN here";
  return onednn_multiplies_bf16() ? ": the processor has no AMX" : ": oneDNN needs AVX512_BF16 for this dtype";
}

std::string describe(at::ScalarType dtype, ProductPath path) {
  switch (path) {
    case ProductPath::kOneDnn:
      return "oneDNN" + reason(dtype, path);
    case ProductPath::kOwn:
      return base::concat("our own (", kernels::cpu_instruction_set(), ")", reason(dtype, path));
    case ProductPath::kLibTorch:
      break;
  }
  return "LibTorch's own";
}

}  // namespace

ProductPath product_path(at::ScalarType dtype) {
  if (dtype != at::kFloat && dtype != at::kBFloat16) return ProductPath::kLibTorch;
  const bool suits_onednn = dtype == at::kFloat ? onednn::available() : onednn_uses_amx();
  return suits_onednn ? ProductPath::kOneDnn : ProductPath::kOwn;
}

ProductPath packed_path(at::ScalarType dtype) {
  const bool is_ours_faster = dtype == at::kFloat && instruction_set() != "generic";
  return is_ours_faster ? ProductPath::kOwn : product_path(dtype);
}

std::string describe_product_paths(at::ScalarType dtype) {
  const auto packed = packed_path(dtype), update = product_path(dtype);
  if (packed == update) return describe(dtype, update);
  return base::concat("sampling and gradients of weights ", describe(dtype, packed), "; the rest of an update ",
                      describe(dtype, update));
}

bool is_slow_here(at::ScalarType dtype) { return dtype == at::kBFloat16 && instruction_set() == "generic"; }

}  // namespace grpo::nn
