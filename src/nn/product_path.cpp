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
  return instruction_set() == "avx512_bf16" && allowed;
}

// AMX multiplies tiles of bf16, which only oneDNN uses. The system has to let a process use it, as LibTorch asks it to.
bool has_amx() {
  static const bool usable = at::cpu::init_amx();
  return usable;
}

std::string reason(at::ScalarType dtype, ProductPath path) {
  if (!onednn::available()) return ": LibTorch has no oneDNN";
  if (path == ProductPath::kOneDnn) return dtype == at::kBFloat16 ? ": AVX512_BF16" : ", the fastest here";
  if (product_path(dtype) == ProductPath::kOneDnn) return ", faster than oneDNN at few rows";
  return ": oneDNN needs AVX512_BF16 for this dtype";
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
  const bool suits_onednn = dtype == at::kFloat || onednn_multiplies_bf16();
  return suits_onednn && onednn::available() ? ProductPath::kOneDnn : ProductPath::kOwn;
}

ProductPath prepacked_path(at::ScalarType dtype) {
  const auto path = product_path(dtype);
  const bool is_ours_faster = dtype == at::kFloat ? instruction_set() != "generic" : !has_amx();
  return path == ProductPath::kOneDnn && is_ours_faster ? ProductPath::kOwn : path;
}

std::string describe_product_paths(at::ScalarType dtype) {
  const auto sampling = prepacked_path(dtype), update = product_path(dtype);
  if (sampling == update) return describe(dtype, update);
  return base::concat("sampling ", describe(dtype, sampling), "; update ", describe(dtype, update));
}

bool is_slow_here(at::ScalarType dtype) { return dtype == at::kBFloat16 && instruction_set() == "generic"; }

}  // namespace grpo::nn
