#pragma once

#include <cstdint>

namespace grpo::kernels::cuda {

struct PhiloxBlock {
  uint32_t words[4];
};

/// Philox-4x32-10; the twin of base::philox.
__device__ inline PhiloxBlock philox(PhiloxBlock c, uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = static_cast<uint64_t>(0xD2511F53u) * c.words[0];
    const uint64_t product1 = static_cast<uint64_t>(0xCD9E8D57u) * c.words[2];
    c = {{static_cast<uint32_t>(product1 >> 32) ^ c.words[1] ^ key0, static_cast<uint32_t>(product1),
          static_cast<uint32_t>(product0 >> 32) ^ c.words[3] ^ key1, static_cast<uint32_t>(product0)}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return c;
}

/// The twin of base::uniform.
__device__ inline double keyed_uniform(uint32_t key0, uint32_t key1, uint64_t draw, uint32_t sample, uint32_t position) {
  const PhiloxBlock block =
      philox({{static_cast<uint32_t>(draw), static_cast<uint32_t>(draw >> 32), sample, position}}, key0, key1);
  const uint64_t bits = (static_cast<uint64_t>(block.words[0]) << 32 | block.words[1]) >> 11;
  return static_cast<double>(bits) * (1.0 / 9007199254740992.0);  // 2^-53
}

}  // namespace grpo::kernels::cuda
