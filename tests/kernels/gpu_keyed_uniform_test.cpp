#include <gtest/gtest.h>

#include "grpo/base/error.h"
#include "grpo/kernels/keyed_uniform.h"

namespace grpo::kernels {
namespace {

std::vector<UniformIndex> many_indices() {
  std::vector<UniformIndex> indices;
  for (uint64_t i = 0; i < 1000; ++i) {
    indices.push_back({i * 0x123456789ull, static_cast<uint32_t>(i * 7), static_cast<uint32_t>(i * i)});
  }
  return indices;
}

const base::RandomKey kKey{17, base::stream_id("train")};

TEST(KeyedUniforms, AreTheNumbersOfTheKey) {
  const auto indices = many_indices();
  const auto numbers = keyed_uniforms(kKey, indices);
  for (size_t i = 0; i < indices.size(); ++i) {
    EXPECT_EQ(numbers[i], base::uniform(kKey, indices[i].draw, indices[i].sample, indices[i].position));
  }
}

TEST(KeyedUniforms, OnCudaWithoutADeviceAreAnError) {
  if (cuda_device_count() > 0) {
    EXPECT_NO_THROW(keyed_uniforms_cuda(kKey, {}));
  } else {
    EXPECT_THROW(keyed_uniforms_cuda(kKey, {}), base::Error);
  }
}

TEST(GpuKeyedUniforms, EqualTheCpusBitForBit) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  EXPECT_EQ(keyed_uniforms_cuda(kKey, many_indices()), keyed_uniforms(kKey, many_indices()));
}

}  // namespace
}  // namespace grpo::kernels
