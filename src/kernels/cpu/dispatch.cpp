#include "kernels/cpu/dispatch.h"

#include <array>
#include <atomic>

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
#endif

namespace {

using List = std::array<const Functions*, 4>;

List detect() {
  List list = {};
  size_t count = 0;
#if defined(__x86_64__)
  const bool has_avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512cd");
  if (has_avx2 && has_avx512) list[count++] = &avx512::kFunctions;
  if (has_avx2) list[count++] = &avx2::kFunctions;
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
