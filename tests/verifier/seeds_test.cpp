// Replays the fuzzer's seeds and every input that once broke the verifier.
#include <gtest/gtest.h>

#include <filesystem>

#include "grpo/io/file.h"
#include "grpo/verifier/verifier.h"
#include "support/paths.h"
#include "verifier/fuzz_input.h"

namespace grpo::verifier {
namespace {

TEST(FuzzSeeds, EverySeedGetsTheSameVerdictTwice) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(grpo::testing::test_data_dir() / "verifier_seeds")) {
    const std::string bytes = io::read_file(entry.path());
    const auto [gold, response] = grpo::testing::split_fuzz_input(bytes);
    EXPECT_EQ(verify(gold, response).kind, verify(gold, response).kind) << entry.path();
    ++count;
  }
  EXPECT_GE(count, 30);
}

}  // namespace
}  // namespace grpo::verifier
