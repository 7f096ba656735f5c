#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/kernels/product.h"
#include "grpo/trainer/train.h"
#include "kernels/every_cpu.h"
#include "support/message_of.h"
#include "trainer/time_plan.h"
#include "trainer/tiny_run.h"

namespace grpo::trainer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Plan : public ::testing::Test {
 protected:
  void SetUp() override { config_.data.max_prompt_tokens = 32; }
  std::string text() { return describe_plan(config_, {}); }

  testing::TempDir dir_;
  TrainConfig config_ = tiny_config(dir_.path());
};

TEST_F(Plan, TranslatesEveryBatchWord) {
  EXPECT_THAT(
      text(),
      HasSubstr(
          "8 prompts x 2 completions = 16 rollouts a step; 1 update a step of 8 prompts; 6 steps over 4096 problems"));
  EXPECT_THAT(text(), HasSubstr("96 rollouts in all"));
  EXPECT_THAT(text(), HasSubstr("tokens: at most 320 sampled a step (20 a completion)"));
  EXPECT_THAT(text(), HasSubstr("evaluation: none"));
  EXPECT_THAT(text(), HasSubstr("time: "));
  EXPECT_THAT(text(), Not(HasSubstr("warning: ")));
}

TEST_F(Plan, CountsEpochsInDrawsWhereSetsHaveWeights) {
  config_.data.train[0].weight = 2;
  EXPECT_THAT(text(), HasSubstr("6 steps over 4096 problems (0.00585938 epochs of 8192 draws)"));
}

TEST_F(Plan, WarnsOfBf16WhereTheCpuHasNoAvx2) {
  config_.rollout.exact = false;
  const auto warns = HasSubstr("model.dtype: float32 is faster here");
  testing::with_every_cpu([&] {
    const bool old = std::string(kernels::cpu_instruction_set()) == "generic";
    config_.model.dtype = models::DtypeChoice::kBfloat16;
    EXPECT_EQ(::testing::Value(text(), warns), old);
    config_.model.dtype = models::DtypeChoice::kFloat32;
    EXPECT_THAT(text(), Not(warns));
  });
}

TEST_F(Plan, SaysHowLargeAdvantagesAre) {
  EXPECT_THAT(text(), HasSubstr("|A| with rewards 0/1: 0.999998 in a half-right group\n"));
  config_.rollout.group_size = 16;
  EXPECT_THAT(text(), HasSubstr("0.999998 in a half-right group, 3.87297 for the only right answer of 16"));
  config_.algorithm.advantage.kind = algo::Advantage::kDrGrpo;
  EXPECT_THAT(text(), HasSubstr("0.5 in a half-right group, 0.9375 for the only"));
}

TEST_F(Plan, SaysWhatACriticIsAndWhatItTakes) {
  const auto alone = text();
  config_.algorithm.method = MethodKind::kPpo;
  config_.algorithm.ppo.critic_lr = 0.25;
  const auto with = text();
  EXPECT_THAT(with, HasSubstr("advantage: of each token, by a critic; gamma 1, lambda 0.95, normalised over the step"));
  EXPECT_THAT(with, HasSubstr("critic: the policy's start weights with a head of zeros, lr 0.25, value clip 0.2"));
  EXPECT_THAT(with, HasSubstr("critic's weights"));
  EXPECT_THAT(with, HasSubstr("critic's gradient sums"));
  EXPECT_THAT(with, Not(HasSubstr("live groups of")));
  EXPECT_THAT(alone, Not(HasSubstr("critic")));
}

TEST_F(Plan, NeedsNeitherDataNorModelForAnAssumedSize) {
  config_.data.train = {"nowhere/train-*.parquet"};
  config_.model.path = "nowhere/model";
  config_.eval.every_steps = 3;
  config_.eval.data = {"nowhere/test.jsonl"};
  const auto planned = [&](const PlanAssumptions& assumptions) {
    return describe_plan(config_, {}, 8, 80.0, assumptions);
  };
  const auto plan = planned({.rows = 7500, .shape = "7b"});
  EXPECT_THAT(plan, HasSubstr("assumed: data.train has 7500 problems"));
  EXPECT_THAT(plan, HasSubstr("assumed: the model has the shape 7b"));
  EXPECT_THAT(plan, HasSubstr("assumed: nowhere/test.jsonl is not here"));
  EXPECT_THAT(plan, HasSubstr("qwen2, 7615616512 parameters"));  // as published
  EXPECT_THAT(plan, HasSubstr("6 steps over 7500 problems"));
  EXPECT_THAT(plan, Not(HasSubstr("no held-out figure")));  // nothing is known of either set
  const std::string file = (dir_.path() / "config.json").string();
  io::write_file_atomic(file, io::read_file(std::filesystem::path(tiny_config("").model.path) / "config.json"));
  EXPECT_THAT(planned({.rows = 10, .shape = file}), HasSubstr(file + ", qwen2, "));
}

TEST_F(Plan, NamesTheOptionThatDoesWithoutWhatIsMissing) {
  const auto error = [&](const PlanAssumptions& assumptions) {
    return testing::message_of<base::ConfigError>([&] { describe_plan(config_, {}, 1, {}, assumptions); });
  };
  config_.model.path = "nowhere";
  EXPECT_THAT(error({}), HasSubstr("--shape 1.5b"));
  config_.data.train = {"nowhere.jsonl"};
  EXPECT_THAT(error({}), HasSubstr("--rows N"));
  EXPECT_THAT(error({.rows = 10, .shape = "1.6b"}), HasSubstr("did you mean 1.5b"));
}

TEST_F(Plan, SaysWhatRanksSplitAndRefusesWeightsThatFitNoDevice) {
  const auto planned = [&](int64_t ranks, double gigabytes) { return describe_plan(config_, {}, ranks, gigabytes); };
  EXPECT_THAT(planned(4, 80.0), HasSubstr("sharding auto: zero1\n"));
  config_.distributed.sharding = dist::ShardingChoice::kZero3;
  config_.trainer.offload_optimizer = OffloadOptimizer::kTrue;
  config_.algorithm.kl.coef = 0.1;
  const auto split = planned(4, 80.0);
  EXPECT_THAT(split, HasSubstr("sharding zero3\n"));
  EXPECT_THAT(split, HasSubstr("shards of the weights"));
  EXPECT_THAT(split, HasSubstr("offload: moments in host memory"));
  EXPECT_THAT(split, HasSubstr("reference: its weights stay whole on every rank"));
  try {
    planned(64, 0.0005);
    ADD_FAILURE() << "weights of a megabyte were planned into half of one";
  } catch (const base::ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("every rank samples with whole weights, also with zero3"));
  }
}

TEST_F(Plan, WarnsOfContradictions) {
  const auto warns = [&](const std::string& words) { EXPECT_THAT(text(), HasSubstr("warning: " + words)); };
  config_.optimizer.warmup_updates = 6;
  warns("optimizer.warmup_steps 6 is not over within the run's 6 updates");
  config_.rollout.sampling.top_k = 20;
  EXPECT_THAT(text(), Not(HasSubstr("top_p < 1")));  // with one update a step there is nothing to warn of
  config_.trainer.epochs_per_step = 2;
  warns("top_p < 1 or top_k > 0 with several updates a step");
  config_.trainer.epochs_per_step = 1;
  config_.rollout.max_new_tokens = 100000;
  warns("prompts of 32 and completions of 100000");
  warns("a rollout can have 100032 tokens, more than trainer.micro_batch_tokens 32768");
  config_.rollout.prompts_per_step = 5000;
  warns("rollout.prompts_per_step 5000 is more than the 4096 problems");
  config_.algorithm.advantage.std = algo::Std::kSample;
  warns("algorithm.std: sample");
  config_.algorithm.kl.coef = 0.1;
  warns("with KL or entropy");
  config_.algorithm.old_logprobs = OldLogProbs::kSampler;
  warns("algorithm.old_logprobs: sampler");
  config_.checkpoint.every_steps = 7;
  warns("checkpoint.every_steps 7");
  config_.logging.rollouts_per_step = 1;
  warns("logging.rollouts_per_step 1");
  config_.eval = {.every_steps = 100, .data = config_.data.train.front().path, .sampling = {.temperature = 0.0}};
  warns("eval.every_steps 100 is more than the 6 steps");
  warns("eval.temperature 0 is greedy");
  warns("4096 of the 4096 problems of eval.data are in data.train");
}

// The embedded model has 64 positions.
TEST_F(Plan, WarnsOfSequencesBeyondTheModelsPositions) {
  const auto beyond = HasSubstr("can exceed the model's 64 positions");
  config_.data.max_prompt_tokens = 1000;
  EXPECT_THAT(text(), beyond);
  config_.rollout.max_total_tokens = 64;
  EXPECT_THAT(text(), Not(beyond));
  config_.eval = {.every_steps = 2, .data = config_.data.train.front().path};
  EXPECT_THAT(text(), Not(beyond));
  config_.eval.max_new_tokens = 21;
  EXPECT_THAT(text(), AllOf(HasSubstr("completions of 21 tokens (eval.max_new_tokens)"), beyond));
}

TEST_F(Plan, SaysThatASettingOfAdaptersDoesNothingWithoutARank) {
  const auto ignored = HasSubstr("no adapters: model.lora.rank is 0, so");
  EXPECT_THAT(text(), Not(ignored));
  config_.model.lora.alpha = 32.0;
  EXPECT_THAT(text(), ignored);
  config_.model.lora.rank = 2;
  EXPECT_THAT(text(), Not(ignored));
  config_.model.lora = {.targets = {"q_proj"}};
  EXPECT_THAT(text(), ignored);
}

TEST_F(Plan, TakesThePaceOfAnEarlierRun) {
  std::filesystem::create_directories(dir_.path() / "tiny");
  std::ofstream(dir_.path() / "tiny" / "metrics.jsonl")
      << "{\"step\":1,\"rollouts\":16,\"time/step\":2}\n{\"step\":2,\"rollouts\":99,\"time/step\":50}\n";
  const std::string what = " a step on average, evaluations and checkpoints included: ";
  EXPECT_THAT(text(), HasSubstr("an earlier run of this name took 2 s" + what + "12 s in all"));
  // Few steps evaluate, and take much longer; one that a later start completed has no time; the last is being written.
  std::ofstream(dir_.path() / "tiny" / "metrics.jsonl", std::ios::app)
      << "{\"step\":3,\"rollouts\":16,\"time/step\":2}\n{\"step\":4,\"rollouts\":16,\"time/step\":32}\n"
      << "{\"step\":5,\"rollouts\":16,\"time/step\":0}\n{\"step\":6,\"roll";
  EXPECT_THAT(text(), HasSubstr("an earlier run of this name took 12 s" + what + "1 min 12 s in all"));
}

// A shape whose only parameters are those of the embedding and the last norm.
models::ModelConfig without_layers() {
  models::ModelConfig model;
  model.vocab_size = 1000;
  model.hidden_size = 64;
  model.tied_embeddings = true;
  return model;
}

// Four prompts of 10 tokens, eight completions of 30.
TrainConfig small_batch() {
  TrainConfig config;
  config.data.max_prompt_tokens = 10;
  config.rollout.prompts_per_step = 4;
  config.rollout.group_size = 2;
  config.rollout.max_new_tokens = 30;
  return config;
}

TEST(TimePlan, CountsProductsAndReads) {
  const auto model = without_layers();
  const auto n = static_cast<double>(model.num_parameters());
  TrainConfig config = small_batch();
  config.rollout.max_sequences.value = 4;
  const DeviceRates compute{.flops = 1e6, .bytes = 1e30, .source = {}};
  // Eight sequences of 30 tokens are decoded four at a time; there are 40 prompt tokens and 8 rollouts of 40 tokens.
  const auto plan = plan_time(model, config, 2, {.ranks = 1}, compute);
  EXPECT_DOUBLE_EQ(plan.rollout_s, (2.0 * 30.0 * 2.0 * n * 4.0 + 2.0 * n * 40.0) / 1e6);
  EXPECT_DOUBLE_EQ(plan.update_s, 6.0 * n * 8.0 * 40.0 / 1e6);
  // Bound by memory: every decode step reads the weights once.
  EXPECT_NEAR(plan_time(model, config, 2, {.ranks = 1}, {.flops = 1e30, .bytes = 1e6, .source = {}}).rollout_s,
              2.0 * 30.0 * 2.0 * n / 1e6, 1e-9);
  EXPECT_DOUBLE_EQ(plan_time(model, config, 2, {.ranks = 2}, compute).update_s, plan.update_s / 2.0);
  EXPECT_EQ(plan.communication_s, 0.0);
  config.trainer.updates_per_step = 2;
  EXPECT_DOUBLE_EQ(plan_time(model, config, 2, {.ranks = 1}, compute).update_s, plan.update_s * 8.0 / 6.0);
}

// The critic's values are a pass without gradient, and the critic is trained like the policy.
TEST(TimePlan, CountsTheCriticsPasses) {
  TrainConfig config;
  config.rollout.group_size = 1;
  const models::ModelConfig model{.vocab_size = 1000,
                                  .hidden_size = 64,
                                  .intermediate_size = 256,
                                  .num_layers = 2,
                                  .num_heads = 4,
                                  .num_kv_heads = 4,
                                  .head_dim = 16};
  const auto update_s = [&] {
    return plan_time(model, config, 4, {.ranks = 1}, {.flops = 1e9, .bytes = 1e9}).update_s;
  };
  const double alone = update_s();
  config.algorithm.method = MethodKind::kPpo;
  EXPECT_NEAR(update_s() / alone, (6.0 + 6.0 + 2.0) / 6.0, 1e-9);
}

// Two layers with one key-value head of 8 have 2 x 2 x 8 elements for each token.
TEST(TimePlan, CountsTheCacheThatADecodeStepReads) {
  models::ModelConfig model;
  model.num_layers = 2;
  model.num_kv_heads = 1;
  model.head_dim = 8;
  TrainConfig config = small_batch();
  const auto n = static_cast<double>(model.num_parameters());
  // Eight sequences half way through their completions, with 25 tokens each.
  const double read = 2.0 * n + 8.0 * 25.0 * 32.0 * 2.0;
  EXPECT_NEAR(plan_time(model, config, 2, {.ranks = 1}, {.flops = 1e30, .bytes = 1e6}).rollout_s, 30.0 * read / 1e6,
              1e-9);
}

TEST(TimePlan, CountsWhatARankSends) {
  const auto model = without_layers();
  const auto n = static_cast<double>(model.num_parameters());
  TrainConfig config = small_batch();
  config.trainer.micro_batch_tokens = 40;  // one rollout in each micro-batch
  const DeviceRates rates{.flops = 1e30, .bytes = 1e30, .inside_host = 1e9, .between_hosts = 1e8, .ranks_per_host = 2};
  const auto plan = plan_time(model, config, 2, {.ranks = 2}, rates);
  EXPECT_DOUBLE_EQ(plan.update_bytes, 6.0 * n / 2.0);
  EXPECT_DOUBLE_EQ(plan.rollout_bytes, 8.0 * 30.0 * 16.0 / 2.0);
  EXPECT_DOUBLE_EQ(plan.communication_s, (plan.update_bytes + plan.rollout_bytes) / 1e9);
  EXPECT_THAT(plan.limit, HasSubstr("the network"));
  EXPECT_EQ(plan.idle_ranks, 0);
  config.distributed.sharding = dist::ShardingChoice::kNone;
  EXPECT_DOUBLE_EQ(plan_time(model, config, 2, {.ranks = 4}, rates).update_bytes, 8.0 * n * 3.0 / 4.0);
  EXPECT_DOUBLE_EQ(plan_time(model, config, 2, {.ranks = 4}, rates).communication_s,
                   (8.0 * n * 3.0 / 4.0 + 8.0 * 30.0 * 16.0 * 3.0 / 4.0) / 1e8);  // the slowest link
  config.distributed.sharding = dist::ShardingChoice::kZero2;
  EXPECT_DOUBLE_EQ(plan_time(model, config, 2, {.ranks = 2}, rates).update_bytes,
                   (4.0 * 4.0 + 2.0) * n / 2.0);  // four micro-batches
}

TEST(TimePlan, ARankSamplesWholeGroupsSoMoreRanksThanPromptsDoNotHelp) {
  const auto model = without_layers();
  const TrainConfig config = small_batch();
  const DeviceRates rates{.flops = 1e12, .bytes = 1e30, .inside_host = 1e30, .between_hosts = 1e30};
  const auto four = plan_time(model, config, 2, {.ranks = 4}, rates),
             eight = plan_time(model, config, 2, {.ranks = 8}, rates),
             many = plan_time(model, config, 2, {.ranks = 100}, rates);
  EXPECT_EQ(four.idle_ranks, 0);
  EXPECT_EQ(many.idle_ranks, 96);
  EXPECT_EQ(many.rollout_s, four.rollout_s);
  EXPECT_EQ(eight.update_s, four.update_s / 2.0);  // rollouts are trained one by one
  EXPECT_EQ(many.update_s, eight.update_s);
  // All the time goes into reading weights, which is the tail.
  EXPECT_THAT(plan_time(model, config, 2, {.ranks = 4}, {.flops = 1e30, .bytes = 1e12, .inside_host = 1e30}).limit,
              HasSubstr("the tail"));
}

TEST_F(Plan, TellsWhatRanksSendAndWhichHaveNothingToSample) {
  const std::string plan = describe_plan(config_, {}, 16, 80.0);
  EXPECT_THAT(plan, HasSubstr(", communication "));
  EXPECT_THAT(plan, HasSubstr("traffic: "));
  EXPECT_THAT(plan, HasSubstr("idle: 8 of 16 ranks sample nothing, since a step has 8 prompts"));
  EXPECT_THAT(text(), Not(HasSubstr("traffic")));
  EXPECT_THAT(text(), HasSubstr("\nlimit: "));
}

}  // namespace
}  // namespace grpo::trainer
