// The training path against the reference: hidden_states and the chunked head.
#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "grpo/nn/lm_head.h"
#include "models/golden_model.h"
#include "models/rope.h"
#include "support/golden.h"

namespace grpo::models {
namespace {

using testing::golden_models;
using testing::GoldenModel;
using testing::kGradientTolerance;
using testing::kLogitTolerance;
using testing::kLogProbTolerance;
using testing::max_distance;
using testing::to_vector;

at::Tensor logits_of(const CausalLM& model, const nn::PackedBatch& batch) {
  const at::NoGradGuard no_grad;
  return at::linear(model.hidden_states(batch), model.head_weight());
}

// The next id of every token; the last one of a sequence, which predicts nothing, gets 0.
at::Tensor next_ids(const nn::PackedBatch& batch) {
  auto next = batch.ids.roll({-1}, {0});
  for (size_t s = 1; s < batch.offsets.size(); ++s) next[batch.offsets[s] - 1] = 0;
  return next;
}

// [T] bool: tokens that have a next one.
at::Tensor has_next(const nn::PackedBatch& batch) {
  auto mask = at::ones({batch.num_tokens()}, at::kBool);
  for (size_t s = 1; s < batch.offsets.size(); ++s) mask[batch.offsets[s] - 1] = false;
  return mask;
}

// "token_logprobs_temp0.7" -> 0.7; no suffix -> 1.
double temperature_of(const std::string& name) {
  const auto at = name.find("_temp");
  return at == std::string::npos ? 1.0 : std::stod(name.substr(at + 5));
}

TEST(GoldenModels, LogitsOfPackedSequences) {
  for (const auto& golden : golden_models()) {
    const auto logits = logits_of(*golden.load(), nn::PackedBatch::pack(golden.sequences()));
    EXPECT_LT(max_distance(logits, golden.packed("logits")), kLogitTolerance) << golden.folder();
  }
}

TEST(GoldenModels, LogitsOfOneSequenceAtATime) {
  for (const auto& golden : golden_models()) {
    const auto model = golden.load();
    std::vector<at::Tensor> logits;
    for (const auto& sequence : golden.sequences())
      logits.push_back(logits_of(*model, nn::PackedBatch::pack({sequence})));
    EXPECT_LT(max_distance(at::cat(logits), golden.packed("logits")), kLogitTolerance) << golden.folder();
  }
}

// Left padding is only another way to write the same sequences down: positions count from the first valid token.
TEST(GoldenModels, LeftPaddedRowsAreTheSameSequences) {
  for (const auto& golden : golden_models()) {
    const auto mask = golden.expected("left.attention_mask").to(at::kBool);
    auto batch = nn::PackedBatch::pack(golden.sequences());
    EXPECT_TRUE(at::equal(golden.expected("left.input_ids").masked_select(mask), batch.ids)) << golden.folder();
    batch.positions = golden.expected("left.position_ids").masked_select(mask);
    EXPECT_LT(max_distance(logits_of(*golden.load(), batch), golden.packed("logits")), kLogitTolerance)
        << golden.folder();
  }
}

TEST(GoldenModels, TokenLogProbsAtEveryTemperature) {
  for (const auto& golden : golden_models()) {
    const auto model = golden.load();
    const auto batch = nn::PackedBatch::pack(golden.sequences());
    const auto keep = has_next(batch);
    const auto hidden = model->hidden_states(batch);
    int compared = 0;
    for (const auto& name : golden.names()) {
      if (name.rfind("token_logprobs", 0) != 0) continue;
      const auto out = nn::token_log_probs(hidden, model->head_weight(), next_ids(batch),
                                           {.temperature = temperature_of(name), .chunk_tokens = 7});
      const auto expected = golden.packed(name).masked_select(batch.positions.gt(0));
      EXPECT_LT(max_distance(out.log_probs.masked_select(keep), expected), kLogProbTolerance)
          << golden.folder() << name;
      ++compared;
    }
    EXPECT_GE(compared, 1) << golden.folder();
  }
}

TEST(GoldenModels, Entropy) {
  for (const auto& golden : golden_models()) {
    const auto model = golden.load();
    const auto batch = nn::PackedBatch::pack(golden.sequences());
    const auto out = nn::token_log_probs(model->hidden_states(batch), model->head_weight(), next_ids(batch), {});
    EXPECT_LT(max_distance(out.entropy, golden.packed("entropy")), kLogProbTolerance) << golden.folder();
  }
}

TEST(GoldenModels, HiddenStatesOfEveryLayer) {
  for (const auto& golden : golden_models()) {
    std::vector<at::Tensor> layers;
    const auto nothing = [](int64_t) {};
    const auto model = golden.load();
    model->set_layer_hooks({.before_forward = [&](int64_t, const at::Tensor& x) { layers.push_back(x); },
                            .after_forward = nothing,
                            .before_backward = nothing,
                            .after_backward = nothing});
    layers.push_back(model->hidden_states(nn::PackedBatch::pack({golden.sequences()[0]})));
    EXPECT_LT(max_distance(at::stack(layers), golden.expected("hidden_states.seq0")), kLogitTolerance)
        << golden.folder();
  }
}

TEST(GoldenModels, RotaryFrequencies) {
  for (const auto& golden : golden_models()) {
    const auto config = read_model_config(golden.folder());
    const auto rope = rope_frequencies(config.rope, config.head_dim);
    const auto expected = golden.expected("rope.inv_freq");
    EXPECT_TRUE(at::allclose(rope.inv_freq, expected, 1e-6, 0.0)) << golden.folder();
    EXPECT_NEAR(rope.attention_scaling, golden.expected("rope.attention_scaling").item<double>(), 1e-6)
        << golden.folder();
  }
}

void expect_golden_gradients(Recompute recompute, at::ScalarType dtype = at::kFloat) {
  const bool fp32 = dtype == at::kFloat;
  for (const auto& golden : golden_models()) {
    const auto model = golden.load(dtype, at::kCPU);
    model->set_training_options({.recompute = recompute});
    const auto batch = nn::PackedBatch::pack(golden.sequences());
    const auto rows = has_next(batch).nonzero().squeeze(1);
    const auto nll = -nn::token_log_probs(model->hidden_states(batch).index_select(0, rows), model->head_weight(),
                                          next_ids(batch).index_select(0, rows), {.chunk_tokens = 11})
                          .log_probs.mean();
    EXPECT_NEAR(nll.item<double>(), golden.expected("nll").item<double>(), fp32 ? kLogProbTolerance : 5e-2)
        << golden.folder();
    nll.backward();
    const auto gradients = io::Safetensors::open(golden.folder() / "expected_grads.safetensors");
    double error = 0.0, norm = 0.0;
    for (const auto& [name, parameter] : model->parameters()) {
      ASSERT_TRUE(parameter.grad().defined()) << golden.folder() << name;
      const auto expected = testing::to_tensor(gradients.at("grad." + name));
      if (fp32) {
        EXPECT_LT(max_distance(parameter.grad(), expected), kGradientTolerance) << golden.folder() << name;
      }
      error += (parameter.grad().to(at::kDouble) - expected).square().sum().item<double>();
      norm += expected.to(at::kDouble).square().sum().item<double>();
    }
    // bf16 keeps 8 bits of each activation and weight. Of single small tensors (a key's bias: its gradients cancel)
    // little is left.
    EXPECT_LT(std::sqrt(error / norm), fp32 ? 1e-4 : 0.06) << golden.folder();
    EXPECT_EQ(gradients.tensors().size(), model->parameters().size()) << golden.folder();
  }
}

TEST(GoldenModels, LossAndEveryGradient) { expect_golden_gradients(Recompute::kNone); }
TEST(GoldenModels, LossAndEveryGradientWithoutTheMlpsActivations) { expect_golden_gradients(Recompute::kSelective); }
TEST(GoldenModels, LossAndEveryGradientFromLayerInputsAlone) { expect_golden_gradients(Recompute::kFull); }

TEST(GoldenModels, LossAndEveryGradientInBf16) { expect_golden_gradients(Recompute::kNone, at::kBFloat16); }

TEST(GoldenModels, CheckpointingChangesNoBitOfAGradient) {
  const auto gradients = [](Recompute recompute) {
    const auto all = golden_models();
    const auto& golden = all.front();
    const auto model = golden.load();
    model->set_training_options({.recompute = recompute});
    model->hidden_states(nn::PackedBatch::pack(golden.sequences())).square().sum().backward();
    std::vector<at::Tensor> found;
    for (const auto& [name, parameter] : model->parameters())
      found.push_back(parameter.grad().defined() ? parameter.grad() : at::zeros({1}));
    return found;
  };
  const auto expected = gradients(Recompute::kNone);
  for (const auto recompute : {Recompute::kSelective, Recompute::kFull}) {
    const auto found = gradients(recompute);
    for (size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(at::equal(found[i], expected[i])) << i;
  }
}

TEST(GoldenModels, GreedyContinuationRecomputedFromTheStart) {
  for (const auto& golden : golden_models()) {
    const auto model = golden.load();
    const auto expected = golden.expected("greedy");
    auto sequences = golden.sequences();
    for (int64_t step = 0; step < expected.size(1); ++step) {
      const auto batch = nn::PackedBatch::pack(sequences);
      const auto best = logits_of(*model, batch).argmax(-1);
      for (size_t s = 0; s < sequences.size(); ++s)
        sequences[s].push_back(best[batch.offsets[s + 1] - 1].item<int64_t>());
    }
    for (size_t s = 0; s < sequences.size(); ++s) {
      const std::vector<int64_t> continuation(sequences[s].begin() + golden.length(s), sequences[s].end());
      EXPECT_EQ(continuation, to_vector(expected[static_cast<int64_t>(s)])) << golden.folder();
    }
  }
}

// The policy of the one-step golden: log-probs of completions under its start weights, at its temperature.
TEST(GoldenStep, CompletionLogProbs) {
  const auto folder = testing::golden_section("step");
  const auto stored = io::Safetensors::open(folder / "expected.safetensors");
  const auto tensor = [&](const char* name) { return testing::to_tensor(stored.at(name)); };
  const double temperature =
      testing::read_golden_json(folder / "expected.json").at("hyperparameters").at("temperature").get<double>();
  const auto ids = at::cat({tensor("prompt_ids"), tensor("completion_ids")}, 1);
  const auto mask = at::cat({tensor("prompt_mask"), tensor("completion_mask")}, 1).to(at::kBool);
  std::vector<std::vector<int64_t>> sequences;
  for (int64_t row = 0; row < ids.size(0); ++row) sequences.push_back(to_vector(ids[row].masked_select(mask[row])));

  const auto model = CausalLM::load(folder / "model", at::kFloat, at::kCPU);
  const auto batch = nn::PackedBatch::pack(sequences);
  const auto log_probs = nn::token_log_probs(model->hidden_states(batch), model->head_weight(), next_ids(batch),
                                             {.temperature = temperature})
                             .log_probs;
  const auto expected = tensor("logprobs");
  const auto lengths = tensor("completion_mask").sum(1);
  ASSERT_GT(ids.size(0), 0);
  for (int64_t row = 0; row < ids.size(0); ++row) {
    const int64_t length = lengths[row].item<int64_t>();
    const int64_t end = batch.offsets[static_cast<size_t>(row) + 1] - 1;  // the last token predicts nothing
    EXPECT_LT(max_distance(log_probs.narrow(0, end - length, length), expected[row].narrow(0, 0, length)),
              kLogProbTolerance)
        << row;
  }
}

}  // namespace
}  // namespace grpo::models
