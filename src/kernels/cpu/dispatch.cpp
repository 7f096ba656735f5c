#include "kernels/cpu/dispatch.h"

#include <array>
#include <atomic>
#include <cstdlib>
#include <iterator>
#include <string>

#include "grpo/base/error.h"

namespace grpo::kernels::cpu {

namespace generic {
extern const Functions kFunctions;
}
#if defined(__x86_64__)
namespace avx2 {
extern const Functions kFunctions;
}
namespace avx512 {
extern const Functions kFunctions;
}
namespace avx512_bf16 {
extern const Functions kFunctions;
}
#endif

namespace {

using List = std::array<const Functions*, 5>;

constexpr const char* kVariable = "GRPO_MAX_CPU_ISA";

// The names that the other libraries of the CPU have for an instruction set.
struct Names {
  const char *ours, *libtorch, *onednn, *mkl;
};
constexpr Names kSets[] = {{"generic", "default", "SSE41", "SSE4_2"},
                           {"avx2", "avx2", "AVX2", "AVX2"},
                           {"avx512", "avx512", "AVX512_CORE_VNNI", "AVX512"},
                           {"avx512_bf16", nullptr, nullptr, nullptr}};

// Limits LibTorch, oneDNN and MKL to the set that the variable names, unless their own variables are set. They read
// those when they first choose a kernel, so this is done before main, when no other thread reads the environment.
bool limit_libraries() {
  const char* limit = std::getenv(kVariable);
  for (const auto& names : kSets) {
    if (limit == nullptr || std::string(limit) != names.ours || names.libtorch == nullptr) continue;
    setenv("ATEN_CPU_CAPABILITY", names.libtorch, /*overwrite=*/0);
    setenv("ONEDNN_MAX_CPU_ISA", names.onednn, 0);
    setenv("MKL_ENABLE_INSTRUCTIONS", names.mkl, 0);
  }
  return limit != nullptr;
}

[[maybe_unused]] const bool limited = limit_libraries();

// The place in kSets of the best set that the variable allows.
size_t best_allowed() {
  const char* limit = std::getenv(kVariable);
  for (size_t i = 0; i < std::size(kSets); ++i) {
    if (limit == nullptr ? i + 1 == std::size(kSets) : std::string(limit) == kSets[i].ours) return i;
  }
  throw base::ConfigError(base::concat(kVariable, "=", limit, ": expected generic, avx2, avx512 or avx512_bf16"));
}

List detect() {
  [[maybe_unused]] const size_t best = best_allowed();
  List list = {};
  size_t count = 0;
#if defined(__x86_64__)
  const bool has_avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512cd");
  if (best >= 3 && has_avx2 && has_avx512 && __builtin_cpu_supports("avx512bf16"))
    list[count++] = &avx512_bf16::kFunctions;
  if (best >= 2 && has_avx2 && has_avx512) list[count++] = &avx512::kFunctions;
  if (best >= 1 && has_avx2) list[count++] = &avx2::kFunctions;
#endif
  list[count] = &generic::kFunctions;
  return list;
}

std::atomic<const Functions*>& in_use() {
  static std::atomic<const Functions*> chosen = usable_functions()[0];
  return chosen;
}

}  // namespace

const Functions* const* usable_functions() {
  static const List list = detect();
  return list.data();
}

const Functions& functions() { return *in_use().load(std::memory_order_relaxed); }

void use_functions(const Functions& chosen) { in_use() = &chosen; }

}  // namespace grpo::kernels::cpu
