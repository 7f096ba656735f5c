// A .safetensors file: whatever header it has, views stay inside it.
#include <cstddef>
#include <span>

#include "fuzz.h"
#include "io/safetensors_header.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> file(reinterpret_cast<const std::byte*>(data), size);
  grpo::testing::may_refuse([&] {
    volatile unsigned sum = 0;
    for (const auto& [name, tensor] : grpo::io::parse_safetensors(file, "input")) {
      if (!tensor.bytes.empty())
        sum = sum + static_cast<unsigned>(tensor.bytes.front()) + static_cast<unsigned>(tensor.bytes.back());
    }
  });
  return 0;
}
