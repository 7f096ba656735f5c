#include "trainer/memory_plan.h"

#include <gtest/gtest.h>

namespace grpo::trainer {
namespace {

// The shape of SmolLM2-135M.
models::ModelConfig smollm2() {
  models::ModelConfig model;
  model.model_type = "llama";
  model.vocab_size = 49152;
  model.hidden_size = 576;
  model.intermediate_size = 1536;
  model.num_layers = 30;
  model.num_heads = 9;
  model.num_kv_heads = 3;
  model.head_dim = 64;
  model.tied_embeddings = true;
  return model;
}

TrainConfig bench_config() {
  TrainConfig config;
  config.data.max_prompt_tokens = 128;
  config.rollout.prompts_per_step = 16;
  config.rollout.group_size = 2;
  config.rollout.max_new_tokens = 64;
  config.trainer.micro_batch_tokens = 1024;
  config.eval.every_steps = 0;
  return config;
}

double bytes_of(const MemoryPlan& plan, const std::string& name) {
  for (const auto& part : plan.parts) {
    if (part.name == name) return part.bytes;
  }
  ADD_FAILURE() << "no part " << name;
  return 0.0;
}

// docs/benchmarks/cpu.md: steps at G=2 and G=16 peaked at 3.8 GiB in bf16, at 4.1 and 4.3 GiB in fp32.
TEST(MemoryPlan, IsNearTheMeasuredPeak) {
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  EXPECT_NEAR(plan_memory(smollm2(), bench_config(), 2, {}).peak(), 3.8 * kGiB, 0.1 * 3.8 * kGiB);
  EXPECT_NEAR(plan_memory(smollm2(), bench_config(), 4, {}).peak(), 4.3 * kGiB, 0.12 * 4.3 * kGiB);
}

TEST(MemoryPlan, SplitStateShrinksWithTheRanks) {
  TrainConfig config = bench_config();
  const auto n = static_cast<double>(smollm2().num_parameters());
  EXPECT_EQ(bytes_of(plan_memory(smollm2(), config, 2, {.ranks = 8, .cuda = true}), "masters and moments"), 12.0 * n / 8.0);
  config.distributed.sharding = dist::Sharding::kNone;
  EXPECT_EQ(bytes_of(plan_memory(smollm2(), config, 2, {.ranks = 8, .cuda = true}), "masters and moments"), 12.0 * n);
  config.distributed.sharding = dist::Sharding::kZero2;
  EXPECT_EQ(bytes_of(plan_memory(smollm2(), config, 2, {.ranks = 8, .cuda = true}), "gradient sums"), 4.0 * n / 8.0);
}

TEST(MemoryPlan, KvCacheIsBoundedByItsKey) {
  TrainConfig config = bench_config();
  config.rollout.max_new_tokens = 4096;
  config.rollout.kv_memory_gb = {0.5};
  EXPECT_EQ(bytes_of(plan_memory(smollm2(), config, 2, {}), "KV cache"), 0.5e9);
}

// 512 sequences of Qwen2.5-1.5B at 4,096 tokens on a GPU of 80 GB.
TEST(MemoryPlan, LeavesTheKvCacheWhatTheUpdateDoesNotNeed) {
  models::ModelConfig model = smollm2();
  model.vocab_size = 151936;
  model.hidden_size = 1536;
  model.intermediate_size = 8960;
  model.num_layers = 28;
  model.num_heads = 12;
  model.num_kv_heads = 2;
  model.head_dim = 128;
  TrainConfig config = bench_config();
  config.data.max_prompt_tokens = 1024;
  config.rollout.max_new_tokens = 3072;
  config.rollout.prompts_per_step = 256;
  config.rollout.max_sequences.value = 512;
  config.trainer.micro_batch_tokens = 16384;
  const auto plan = plan_memory(model, config, 2, {.ranks = 1, .cuda = true, .memory_bytes = 80e9});
  EXPECT_LE(plan.peak(), 0.92 * 80e9);
  EXPECT_GT(bytes_of(plan, "KV cache"), 15e9);  // a quarter of what all at full length would take, at least
  const auto larger = plan_memory(model, config, 2, {.ranks = 1, .cuda = true, .memory_bytes = 141e9});
  EXPECT_NEAR(bytes_of(larger, "KV cache"), 4096.0 * 513 * 2 * 28 * 2 * 128 * 2, 1e6);  // all of them
}

}  // namespace
}  // namespace grpo::trainer
