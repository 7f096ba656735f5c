// Rollouts on a CUDA device.
#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/quantile.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "grpo/kernels/cuda.h"
#include "grpo/nn/lm_head.h"
#include "rollout/golden_greedy.h"
#include "rollout/small_engine.h"
#include "support/golden.h"

namespace grpo::rollout {
namespace {

using testing::expect_equal;
using testing::kGeneration;
using testing::kKey;
using testing::requests_of;
using testing::small_model;

class GpuEngine : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kernels::cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
    ASSERT_EQ(kernels::load_cuda(), "");
  }
};

std::vector<Group> generate(const models::CausalLM& model, const EngineOptions& config,
                            const std::vector<Request>& requests) {
  Engine engine(model, config);
  return engine.generate(requests, kGeneration, kKey);
}

// A model whose attention FlashInfer serves: heads of 64.
std::unique_ptr<models::CausalLM> flash_model(at::Device device, int64_t heads = 14) {
  models::ModelConfig config;
  config.model_type = "qwen2";
  config.vocab_size = testing::kVocabulary;
  config.hidden_size = 128;
  config.intermediate_size = 256;
  config.num_layers = 2;
  config.num_heads = heads;
  config.num_kv_heads = 2;
  config.head_dim = 64;
  config.max_positions = 2048;
  config.qkv_bias = true;
  config.initializer_range = 0.1;
  return models::CausalLM::init(config, 4, at::kBFloat16, device);
}

TEST_F(GpuEngine, GraphsAndStepsAheadChangeNoBit) {
  for (const auto& model : {small_model(at::kFloat, at::kCUDA), flash_model(at::kCUDA)}) {
    const auto requests = requests_of({6, 9, 4, 12, 7, 30}, 4);
    const auto eager = generate(*model, {.max_sequences = 24, .steps_ahead = {0}, .graphs = {false}}, requests);
    for (const int64_t steps : {0, 2, 4})
      expect_equal(eager, generate(*model, {.max_sequences = 24, .steps_ahead = {steps}, .graphs = {true}}, requests));
  }
}

TEST_F(GpuEngine, RecordsAgainWhenAllItsGraphsAreGone) {
  const auto model = flash_model(at::kCUDA);
  const GenerationOptions generation{.max_new_tokens = 10, .ignore_eos = true};
  Engine engine(*model, {.max_sequences = 8});
  for (const size_t longest : {10, 300, 1500}) {  // each wants a bigger cache
    engine.generate(requests_of({longest, 5}, 4), generation, kKey);
    EXPECT_EQ(engine.stats().graphs_recorded, 1);
    engine.generate(requests_of({longest, 5}, 4), generation, kKey);
    EXPECT_EQ(engine.stats().graphs_recorded, 0);
  }
  Engine told(*model, {.max_sequences = 8, .expected = {.longest = 1510, .sequences = 8}});
  for (const size_t longest : {10, 300, 1500}) {
    told.generate(requests_of({longest, 5}, 4), generation, kKey);
    EXPECT_EQ(told.stats().graphs_recorded, longest == 10 ? 1 : 0);
  }
}

TEST_F(GpuEngine, DecodesWithEitherAttentionKernel) {
  const auto model = flash_model(at::kCUDA, /*heads=*/12);
  const auto requests = requests_of({6, 9, 40, 12}, 4);
  const auto with = [&](kernels::DecodeKernel kernel) {
    return generate(*model, {.max_sequences = 16, .decode_kernel = kernel}, requests);
  };
  const auto plain = with(kernels::DecodeKernel::kPlain), tensor_cores = with(kernels::DecodeKernel::kTensorCores);
  // The first tokens are of equal prefills; later ones differ where rounding turns a draw.
  for (size_t i = 0; i < plain.size(); ++i) {
    for (size_t j = 0; j < 4; ++j) {
      EXPECT_EQ(plain[i].completions[j].ids[0], tensor_cores[i].completions[j].ids[0]);
      if (plain[i].completions[j].ids.size() < 2 ||
          tensor_cores[i].completions[j].ids[1] != plain[i].completions[j].ids[1])
        continue;
      EXPECT_NEAR(plain[i].completions[j].log_probs[1], tensor_cores[i].completions[j].log_probs[1], 0.15);
    }
  }
}

TEST_F(GpuEngine, ExactCompletionsDoNotDependOnTheirBatch) {
  for (const auto& model : {small_model(at::kFloat, at::kCUDA), flash_model(at::kCUDA)}) {
    const auto requests = requests_of({1, 3, 16, 17, 40, 8}, 3);
    const auto together = generate(*model, {.exact = true}, requests);
    expect_equal(together, generate(*model, {.page_size = 32, .max_sequences = 5, .exact = true}, requests));
    expect_equal(together, generate(*model, {.page_size = 16, .num_pages = {8}, .exact = true}, requests));  // preempts
    for (size_t i = 0; i < requests.size(); ++i)
      expect_equal({together[i]}, generate(*model, {.exact = true}, {requests[i]}));
  }
}

TEST_F(GpuEngine, DrawsAsTheCpuDoes) {
  // fp32 logits differ in the last bits, so that a draw next to a boundary may fall on the other side; most completions
  // agree.
  const auto requests = requests_of({4, 9, 17, 30}, 8);
  const auto host = generate(*small_model(), {}, requests),
             device = generate(*small_model(at::kFloat, at::kCUDA), {}, requests);
  int same = 0;
  for (size_t i = 0; i < host.size(); ++i) {
    for (size_t j = 0; j < 8; ++j) same += host[i].completions[j].ids == device[i].completions[j].ids;
  }
  EXPECT_GE(same, 31) << "of 32";
}

// The distribution of sampler minus trainer log-probabilities in bf16.
TEST_F(GpuEngine, LogProbsAgreeWithTheTrainers) {
  const auto model = flash_model(at::kCUDA);
  const auto requests = requests_of({4, 19, 33, 300}, 8);
  std::vector<at::Tensor> differences;
  for (const auto& group : generate(*model, {}, requests)) {
    for (const auto& completion : group.completions) {
      auto ids = requests[group.request].prompt_ids;
      const auto prompt = static_cast<int64_t>(ids.size());
      ids.insert(ids.end(), completion.ids.begin(), completion.ids.end());
      const at::NoGradGuard no_grad;
      const auto hidden = model->hidden_states(nn::PackedBatch::pack({ids}, model->device()));
      const auto n = static_cast<int64_t>(completion.ids.size());
      const auto scored = nn::token_log_probs(hidden.narrow(0, prompt - 1, n), model->head_weight(),
                                              at::tensor(completion.ids, at::kLong).to(model->device()), {});
      differences.push_back((scored.log_probs.cpu() - at::tensor(completion.log_probs, at::kFloat)).abs());
    }
  }
  const auto all = at::cat(differences);
  const auto quantile = [&](double q) { return at::quantile(all, q).item<double>(); };
  std::printf("|sampler - trainer| log-prob: mean %.2g, median %.2g, 99 %% %.2g, most %.2g\n",
              all.mean().item<double>(), quantile(0.5), quantile(0.99), quantile(1.0));
  RecordProperty("mean", std::to_string(all.mean().item<double>()));
  EXPECT_LT(all.mean().item<double>(), 0.02);
  EXPECT_LT(quantile(0.99), 0.15);
}

TEST_F(GpuEngine, GreedyContinuationsOfGoldenModels) {
  for (const auto& folder : testing::golden_folders("models")) {
    const auto model = models::CausalLM::load(folder, at::kFloat, at::kCUDA);
    Engine engine(*model, {});
    testing::expect_golden_greedy(engine, folder);
  }
}

}  // namespace
}  // namespace grpo::rollout
