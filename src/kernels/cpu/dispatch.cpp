#include "kernels/cpu/dispatch.h"

#include <cstdlib>
#include <string>

namespace grpo::kernels::cpu {

namespace v2 {
extern const Functions kFunctions;
}
#if defined(__x86_64__)
namespace v3 {
extern const Functions kFunctions;
}
namespace v4 {
extern const Functions kFunctions;
}
#endif

namespace {

const Functions& choose() {
#if defined(__x86_64__)
  const char* asked = std::getenv("GRPO_CPU_ISA");
  const std::string most = asked != nullptr ? asked : "v4";
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (most == "v4" && avx2 && avx512) return v4::kFunctions;
  if (most != "v2" && avx2) return v3::kFunctions;
#endif
  return v2::kFunctions;
}

}  // namespace

const Functions& functions() {
  static const Functions& chosen = choose();
  return chosen;
}

}  // namespace grpo::kernels::cpu
