#include "trainer/memory_plan.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "grpo/base/cores.h"
#include "grpo/base/error.h"

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

// grpo_step_bench smollm2-135m: 3.63 GB in fp32 (2026-11-29, AVX2); 3.73 GB in bf16 was measured while the head still
// held two matrices of a chunk's logits (docs/benchmarks/cpu.md), since a processor without bf16 takes too long.
TEST(MemoryPlan, IsNearTheMeasuredPeak) {
  EXPECT_NEAR(plan_memory(smollm2(), bench_config(), 2, {}).peak(), 3.73e9, 0.1 * 3.73e9);
  EXPECT_NEAR(plan_memory(smollm2(), bench_config(), 4, {}).peak(), 3.63e9, 0.1 * 3.63e9);
}

TEST(MemoryPlan, SplitStateShrinksWithTheRanks) {
  TrainConfig config = bench_config();
  const auto n = static_cast<double>(smollm2().num_parameters());
  EXPECT_EQ(bytes_of(plan_memory(smollm2(), config, 2, {.ranks = 8, .cuda = true}), "masters and moments"),
            12.0 * n / 8.0);
  config.distributed.sharding = dist::ShardingChoice::kNone;
  EXPECT_EQ(bytes_of(plan_memory(smollm2(), config, 2, {.ranks = 8, .cuda = true}), "masters and moments"), 12.0 * n);
  config.distributed.sharding = dist::ShardingChoice::kZero2;
  EXPECT_EQ(bytes_of(plan_memory(smollm2(), config, 2, {.ranks = 8, .cuda = true}), "gradient sums"), 4.0 * n / 8.0);
}

// The shape of Qwen2.5-7B, or if `large` of Qwen2.5-32B.
models::ModelConfig qwen(bool large) {
  models::ModelConfig model;
  model.model_type = "qwen2";
  model.vocab_size = 152064;
  model.hidden_size = large ? 5120 : 3584;
  model.intermediate_size = large ? 27648 : 18944;
  model.num_layers = large ? 64 : 28;
  model.num_heads = large ? 40 : 28;
  model.num_kv_heads = large ? 8 : 4;
  model.head_dim = 128;
  model.qkv_bias = true;
  return model;
}

TEST(MemoryPlan, Zero3HoldsWholeWeightsForSamplingAlone) {
  TrainConfig config = bench_config();
  config.distributed.sharding = dist::ShardingChoice::kZero3;
  const auto model = qwen(false);
  const auto n = static_cast<double>(model.num_parameters());
  const double outside = 2.0 * 152064.0 * 3584.0 + 3584.0;
  const auto plan = plan_memory(model, config, 2, {.ranks = 8, .cuda = true, .memory_bytes = 80e9});
  EXPECT_EQ(plan.sharding, optim::StateSharding::kWeights);
  EXPECT_EQ(bytes_of(plan, "shards of the weights"), 2.0 * n / 8.0);
  EXPECT_EQ(bytes_of(plan, "two layers' and other weights"), 2.0 * (2.0 * (n - outside) / 28.0 + outside));
  EXPECT_EQ(bytes_of(plan, "masters and moments"), 12.0 * n / 8.0);
  EXPECT_EQ(bytes_of(plan, "gradient sums"), 4.0 * n / 8.0);
  EXPECT_GT(plan.rollout_peak(), 2.0 * n);
}

// Of the ways that fit, the one in which ranks send least is taken.
TEST(MemoryPlan, AutoSplitsAsMuchAsItMust) {
  const auto chosen = [](const models::ModelConfig& model, int64_t ranks, double gigabytes) {
    return plan_memory(model, bench_config(), 2, {.ranks = ranks, .cuda = true, .memory_bytes = gigabytes * 1e9})
        .sharding;
  };
  EXPECT_EQ(chosen(smollm2(), 1, 80), optim::StateSharding::kNone);
  EXPECT_EQ(chosen(smollm2(), 8, 80), optim::StateSharding::kOptimizer);
  EXPECT_EQ(chosen(qwen(false), 64, 80), optim::StateSharding::kOptimizer);
  EXPECT_EQ(chosen(qwen(true), 64, 180), optim::StateSharding::kGradients);
  EXPECT_EQ(chosen(qwen(true), 64, 80), optim::StateSharding::kWeights);
}

TEST(MemoryPlan, RefusesWeightsThatOneDeviceCannotHold) {
  EXPECT_NO_THROW(check_weights_fit(qwen(true), 2, {.ranks = 64, .cuda = true, .memory_bytes = 80e9}));
  EXPECT_THROW(check_weights_fit(qwen(true), 2, {.ranks = 64, .cuda = true, .memory_bytes = 40e9}), base::ConfigError);
}

// For 7B on one GPU the 12 n bytes of masters and moments do not fit, whatever activations are kept.
TEST(MemoryPlan, KeepsTheOptimizersStateOnTheHostWhereItMust) {
  TrainConfig config = bench_config();
  const auto model = qwen(false);
  const auto n = static_cast<double>(model.num_parameters());
  const PlanTarget one{.ranks = 1, .cuda = true, .memory_bytes = 141e9};
  const auto plan = plan_memory(model, config, 2, one);
  EXPECT_TRUE(plan.offload);
  EXPECT_LE(plan.peak(), 0.92 * 141e9);
  EXPECT_EQ(plan.host_bytes, 12.0 * n);
  config.trainer.offload_optimizer = OffloadOptimizer::kFalse;
  EXPECT_GT(plan_memory(model, config, 2, one).peak(), 0.92 * 141e9);
  EXPECT_FALSE(plan_memory(smollm2(), bench_config(), 2, one).offload);
  EXPECT_FALSE(plan_memory(model, bench_config(), 2, {.ranks = 1, .cuda = false, .memory_bytes = 10e9}).offload);
}

TEST(MemoryPlan, MuonKeepsOneMomentOfTheLayersMatrices) {
  auto config = bench_config();
  config.optimizer.kind = optim::OptimizerKind::kMuon;
  const auto n = static_cast<double>(smollm2().num_parameters());
  const double in_layers = n - 49152.0 * 576.0 - 576.0;
  const PlanTarget one{.ranks = 1, .cuda = true, .memory_bytes = 0.0};
  EXPECT_NEAR(bytes_of(plan_memory(smollm2(), config, 2, one), "masters and moments"), 12.0 * n - 4.0 * in_layers, 1.0);
}

// The formulas are those of docs/distributed.md.
TEST(MemoryPlan, BytesOfAnUpdateFollowTheFormulas) {
  const auto model = smollm2();
  const auto n = static_cast<double>(model.num_parameters());
  const double in_layers = n - 49152.0 * 576.0 - 576.0;
  dist::DistributedConfig narrow{.reduce_dtype = dist::ReduceDtype::kBfloat16};
  using enum optim::StateSharding;
  using enum optim::OptimizerKind;
  EXPECT_EQ(update_bytes(models::trained_elements(model, {}), {.sharding = kNone}, {}, kAdamW, 2, 4, 3), 8.0 * n * 3.0);
  EXPECT_EQ(update_bytes(models::trained_elements(model, {}), {.sharding = kNone}, narrow, kAdamW, 2, 4, 3),
            4.0 * n * 3.0);
  EXPECT_EQ(update_bytes(models::trained_elements(model, {}), {.sharding = kOptimizer}, {}, kAdamW, 2, 4, 3),
            6.0 * n * 3.0);
  EXPECT_EQ(update_bytes(models::trained_elements(model, {}), {.sharding = kOptimizer}, {}, kMuon, 2, 4, 3),
            (6.0 * n + 4.0 * in_layers) * 3.0);
  EXPECT_EQ(update_bytes(models::trained_elements(model, {}), {.sharding = kGradients}, narrow, kAdamW, 4, 4, 3),
            (2.0 * 3.0 + 4.0) * n * 3.0);
  EXPECT_EQ(update_bytes(models::trained_elements(model, {}), {.sharding = kWeights}, {}, kAdamW, 2, 4, 3),
            ((4.0 * 3.0 + 2.0) * n + 2.0 * 2.0 * 3.0 * in_layers) * 3.0);
}

TEST(MemoryPlan, KvCacheIsBoundedByItsKey) {
  TrainConfig config = bench_config();
  config.rollout.max_new_tokens = 4096;
  config.rollout.kv_memory_gb = {0.5};
  EXPECT_EQ(bytes_of(plan_memory(smollm2(), config, 2, {}), "KV cache"), 0.5e9);
}

// A step of 32 sequences of up to 192 tokens, and evaluations of up to 1,152 tokens that take all of 256 slots.
TEST(MemoryPlan, HasRoomForTheLargerOfStepsAndEvaluations) {
  TrainConfig config = bench_config();
  config.rollout.kv_memory_gb = {1000.0};
  config.rollout.max_sequences.value = 256;
  const auto step = plan_memory(smollm2(), config, 2, {});
  config.eval.every_steps = 1;
  config.eval.max_new_tokens = 1024;
  const auto both = plan_memory(smollm2(), config, 2, {});
  EXPECT_EQ(bytes_of(both, "logits of a decode step"), 8.0 * bytes_of(step, "logits of a decode step"));
  const double page = 16.0 * 2 * 30 * 3 * 64 * 2;
  EXPECT_EQ(bytes_of(step, "KV cache"), (12.0 * 33 + 1) * page);
  EXPECT_EQ(bytes_of(both, "KV cache"), (72.0 * 257 + 1) * page);
  config.eval.max_new_tokens = 8;
  EXPECT_EQ(bytes_of(plan_memory(smollm2(), config, 2, {}), "KV cache"), (12.0 * 257 + 1) * page);
}

models::ModelConfig qwen_1_5b() {
  models::ModelConfig model = qwen(false);
  model.vocab_size = 151936;
  model.hidden_size = 1536;
  model.intermediate_size = 8960;
  model.num_heads = 12;
  model.num_kv_heads = 2;
  model.tied_embeddings = true;
  return model;
}

TrainConfig gpu_config() {
  TrainConfig config = bench_config();
  config.data.max_prompt_tokens = 1024;
  config.rollout.max_new_tokens = 3072;
  config.rollout.prompts_per_step = 256;
  config.rollout.max_sequences.value = 512;
  config.trainer.micro_batch_tokens = 32768;
  return config;
}

// 512 sequences of Qwen2.5-1.5B at 4,096 tokens on a GPU of 80 GB.
TEST(MemoryPlan, LeavesTheKvCacheWhatTheUpdateDoesNotNeed) {
  TrainConfig config = gpu_config();
  config.trainer.micro_batch_tokens = 16384;
  const auto plan = plan_memory(qwen_1_5b(), config, 2, {.ranks = 1, .cuda = true, .memory_bytes = 80e9});
  EXPECT_LE(plan.peak(), 0.92 * 80e9);
  EXPECT_GT(bytes_of(plan, "KV cache"), 15e9);  // a quarter of what all at full length would take, at least
  const auto larger = plan_memory(qwen_1_5b(), config, 2, {.ranks = 1, .cuda = true, .memory_bytes = 141e9});
  EXPECT_NEAR(bytes_of(larger, "KV cache"), 4096.0 * 513 * 2 * 28 * 2 * 128 * 2, 1e6);  // room for all at full length
}

// Computing gate and up again costs a tenth of a pass, while smaller passes cost less than that.
TEST(MemoryPlan, TakesSmallerMicroBatchesBeforeItComputesActivationsAgain) {
  using models::Recompute;
  TrainConfig config = gpu_config();
  const auto plan_at = [&](double gigabytes) {
    return plan_memory(qwen_1_5b(), config, 2, {.ranks = 1, .cuda = true, .memory_bytes = gigabytes * 1e9});
  };
  const auto roomy = plan_at(190), tight = plan_at(80);
  EXPECT_EQ(roomy.recompute, Recompute::kNone);
  EXPECT_EQ(roomy.micro_batch_tokens, 32768);
  EXPECT_EQ(tight.recompute, Recompute::kNone);
  EXPECT_LT(tight.micro_batch_tokens, 32768);
  EXPECT_GE(tight.micro_batch_tokens, 8192);
  EXPECT_LE(tight.peak(), 0.92 * 80e9);
  EXPECT_GT(plan_at(30).recompute, Recompute::kNone);  // here smaller micro-batches are not enough

  config.trainer.activation_checkpointing = RecomputeChoice::kSelective;  // the user's choice is kept
  EXPECT_EQ(plan_at(80).micro_batch_tokens, 32768);
  EXPECT_EQ(plan_at(80).recompute, Recompute::kSelective);
}

// A smaller micro-batch would still have to hold the longest rollout, and would only have fewer others beside it.
TEST(MemoryPlan, KeepsMicroBatchesAsLongAsTheLongestRollout) {
  TrainConfig config = gpu_config();
  config.rollout.max_new_tokens = 20000;
  config.rollout.max_sequences.value = 32;
  EXPECT_EQ(plan_memory(qwen_1_5b(), config, 2, {.ranks = 1, .cuda = true, .memory_bytes = 60e9}).micro_batch_tokens,
            32768);
  config.trainer.micro_batch_tokens = 16384;
  TrainConfig shorter = config;
  shorter.rollout.max_new_tokens = 15000;
  const auto saved = [&](const TrainConfig& c) {
    return bytes_of(plan_memory(qwen_1_5b(), c, 2, {.ranks = 1, .cuda = true}), "saved activations");
  };
  EXPECT_NEAR(saved(config) / saved(shorter), 21024.0 / 16384.0, 1e-9);
}

TEST(MemoryPlan, OnTheCpuTakesTheMicroBatchesAskedFor) {
  TrainConfig config = gpu_config();
  config.trainer.micro_batch_tokens = 16384;
  EXPECT_EQ(plan_memory(qwen_1_5b(), config, 2, {.memory_bytes = 60e9}).micro_batch_tokens, 16384);
}

// In nn/layers.cpp these are the gradients of gate and up and of their product. A process on the CPU has no CUDA
// context.
TEST(MemoryPlan, CountsWhatABackwardPassHoldsBesideTheActivations) {
  TrainConfig config = gpu_config();
  const auto plan = plan_memory(qwen(false), config, 2, {.ranks = 8, .cuda = true});
  EXPECT_GE(bytes_of(plan, "LM head, or a layer's backward"), 3.0 * 32768 * 18944 * 2);
  EXPECT_GT(bytes_of(plan, "context, libraries and graphs"), 0.5e9);
  for (const auto& part : plan_memory(qwen(false), config, 2, {}).parts)
    EXPECT_NE(part.name, "context, libraries and graphs");
  // A short pass is bound by the head: 4 bytes a weight of its gradient, 2 when it is done.
  config.trainer.micro_batch_tokens = 4096;
  EXPECT_GE(bytes_of(plan_memory(qwen(false), config, 2, {.ranks = 8, .cuda = true}), "LM head, or a layer's backward"),
            6.0 * 152064 * 3584);
}

// Weights of a lower dtype have gradients of that dtype. At the end of a pass all of these exist, but no activations.
TEST(MemoryPlan, CountsGradientsOfAPassOnlyBeyondTheActivationsWhosePlaceTheyTake) {
  TrainConfig config = gpu_config();
  const auto plan = [&](int64_t dtype_bytes) {
    return plan_memory(qwen_1_5b(), config, dtype_bytes, {.ranks = 1, .cuda = true});
  };
  const double gradients = 2.0 * static_cast<double>(qwen_1_5b().num_parameters());
  const auto many = plan(2);
  ASSERT_GT(bytes_of(many, "saved activations"), 2.0 * gradients);
  for (const auto& part : many.parts) EXPECT_NE(part.name, "gradients beyond activations");

  config.data.max_prompt_tokens = 64;
  config.rollout.max_new_tokens = 192;
  config.trainer.micro_batch_tokens = 256;
  const auto few = plan(2);
  const double saved = bytes_of(few, "saved activations");
  ASSERT_LT(saved, gradients);
  // The embedding is also the head. Its gradient as embedding comes last, and exists beside that as head.
  EXPECT_NEAR(bytes_of(few, "gradients beyond activations"),
              gradients + 2.0 * (151936.0 + 256.0) * 1536.0 - saved - bytes_of(few, "LM head, or a layer's backward"),
              1e3);
  for (const auto& part : plan(4).parts) EXPECT_NE(part.name, "gradients beyond activations");  // they are the sums
}

// With a head of its own the embedding's gradient is not there yet when the first layer's backward runs.
TEST(MemoryPlan, CountsAnEmbeddingsOwnGradientOnlyWhenThePassReachesIt) {
  TrainConfig config = gpu_config();
  config.trainer.activation_checkpointing = RecomputeChoice::kFull;
  config.trainer.micro_batch_tokens = 10240;
  config.data.max_prompt_tokens = 1024;
  config.rollout.max_new_tokens = 4096;
  const auto model = qwen(false);
  const auto plan = plan_memory(model, config, 2, {.ranks = 1, .cuda = true});
  const double gradients = 2.0 * static_cast<double>(model.num_parameters());
  const double embedding = 2.0 * 152064.0 * 3584.0, row = 10240.0 * 2.0;
  const double layer = row * (8.0 * 3584.0 + 2.0 * 512.0 + 5.0 * 18944.0);  // saved, and the backward's own
  EXPECT_NEAR(bytes_of(plan, "saved activations") + bytes_of(plan, "LM head, or a layer's backward") +
                  bytes_of(plan, "gradients beyond activations"),
              gradients - embedding + layer, 1e3);
}

// Bytes of a part, 0 where the plan has none of that name.
double bytes_or_none(const MemoryPlan& plan, const std::string& name) {
  for (const auto& part : plan.parts) {
    if (part.name == name) return part.bytes;
  }
  return 0.0;
}

// The optimizer's step allocates what it needs after the last pass has freed its activations.
TEST(MemoryPlan, CountsWhatTheOptimizerWorksWithOnlyBeyondAPass) {
  const char* const beyond = "optimizer's step beyond a pass";
  TrainConfig config = gpu_config();
  config.trainer.offload_optimizer = OffloadOptimizer::kTrue;
  const auto plan = [&] { return plan_memory(qwen(false), config, 2, {.ranks = 1, .cuda = true}); };
  const double largest = 12.0 * 152064.0 * 3584.0;  // two moments and a master of each of the embedding's weights
  ASSERT_GT(bytes_of(plan(), "saved activations"), largest);
  EXPECT_EQ(bytes_or_none(plan(), beyond), 0.0);
  config.optimizer.kind = optim::OptimizerKind::kMuon;
  EXPECT_EQ(bytes_or_none(plan(), beyond), 0.0);

  config.optimizer.kind = optim::OptimizerKind::kAdamW;
  config.model.freeze = {"embed", "layers", "norm"};  // only the matrix of the head is trained
  config.data.max_prompt_tokens = 64;
  config.rollout.max_new_tokens = 64;
  config.trainer.micro_batch_tokens = 128;
  const auto few = plan();
  const double pass = bytes_or_none(few, "saved activations") + bytes_or_none(few, "gradients beyond activations") +
                      bytes_of(few, "LM head, or a layer's backward");
  ASSERT_LT(pass, largest);
  EXPECT_NEAR(bytes_of(few, beyond), largest - pass, 1e3);
}

TEST(MemoryPlan, OfAdaptersHoldsTheWeightsOnceAndLittleBeside) {
  TrainConfig config = gpu_config();
  config.algorithm.kl.coef = 0.01;
  config.model.lora.rank = 16;
  const auto model = qwen(false);
  const auto n = static_cast<double>(model.num_parameters());
  const double adapters = models::adapter_elements(model, config.model.lora);
  ASSERT_LT(adapters, 0.01 * n);
  const auto plan = plan_memory(model, config, 2, {.ranks = 1, .cuda = true});
  EXPECT_EQ(bytes_of(plan, "weights"), 2.0 * n);
  EXPECT_EQ(bytes_of(plan, "adapters"), 2.0 * adapters);
  EXPECT_EQ(bytes_of(plan, "reference weights"), 0.0);
  EXPECT_EQ(bytes_of(plan, "masters and moments"), 12.0 * adapters);
  EXPECT_EQ(bytes_of(plan, "gradient sums"), 4.0 * adapters);
  EXPECT_LT(bytes_or_none(plan, "gradients beyond activations"), 0.01 * n);
  config.algorithm.kl.sync_every = 10;
  EXPECT_EQ(bytes_of(plan_memory(model, config, 2, {.ranks = 1, .cuda = true}), "reference weights"), 2.0 * adapters);

  const auto ranks = plan_memory(model, config, 2, {.ranks = 4, .cuda = true, .memory_bytes = 20e9});  // no plan fits
  EXPECT_EQ(ranks.sharding, optim::StateSharding::kOptimizer);
  EXPECT_EQ(bytes_of(ranks, "weights"), 2.0 * n);
}

// Two hosts of two ranks and of one: the first two share what the third has alone.
TEST(MemoryPlan, GivesARankItsPartOfItsOwnHost) {
  const std::vector<std::string> hosts = {"a", "a", "b"};
  const auto whole = static_cast<double>(base::usable_memory_bytes());
  EXPECT_EQ(share_of_host_memory(hosts, 0), whole / 2);
  EXPECT_EQ(share_of_host_memory(hosts, 1), whole / 2);
  EXPECT_EQ(share_of_host_memory(hosts, 2), whole);
}

}  // namespace
}  // namespace grpo::trainer
