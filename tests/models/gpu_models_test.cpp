// The sampling path on a CUDA device against the CPU in fp32.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "grpo/io/safetensors.h"
#include "grpo/kernels/cuda.h"
#include "grpo/nn/lm_head.h"
#include "models/cached_pass.h"
#include "models/golden_model.h"
#include "models/small_model.h"
#include "support/on_host_device.h"
#include "support/paths.h"

namespace grpo::models {
namespace {

using testing::cached_logits;
using testing::golden_models;
using testing::max_distance;

constexpr int64_t kWhole = 1 << 20;

class GpuModels : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kernels::cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
    ASSERT_EQ(kernels::load_cuda(), "");
  }
};

// fp32 on the device sums in another order than the CPU. bf16 rounds every activation to 8 bits, over few layers.
double tolerance(at::ScalarType dtype, const at::Tensor& logits) {
  return (dtype == at::kFloat ? 1e-4 : 5e-2) * std::max(1.0, logits.abs().max().item<double>());
}

TEST_F(GpuModels, GoldenLogits) {
  for (const auto& golden : golden_models()) {
    const auto expected = golden.packed("logits");
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const auto model = golden.load(dtype, at::kCUDA);
      for (const bool exact : {false, true}) {
        for (const int64_t piece : {kWhole, int64_t{5}, int64_t{1}}) {
          const auto logits = cached_logits(*model, golden.sequences(), piece, exact).cpu().to(at::kFloat);
          EXPECT_LT(max_distance(logits, expected), tolerance(dtype, expected))
              << golden.folder() << " exact " << exact << " piece " << piece;
        }
      }
    }
  }
}

TEST_F(GpuModels, AddTheAdaptersOfPeft) {
  const auto golden = testing::source_dir() / "tests" / "golden";
  const testing::GoldenModel base(golden / "models" / "qwen2_tied");
  const auto expected = CausalLM::load(golden / "lora" / "qwen2_all", at::kFloat, at::kCPU);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto model = CausalLM::load(golden / "lora" / "qwen2_all", dtype, at::kCUDA);
    for (const bool exact : {false, true}) {
      const auto logits = cached_logits(*model, base.sequences(), 5, exact).cpu().to(at::kFloat);
      const auto on_cpu = cached_logits(*expected, base.sequences(), kWhole, false);
      EXPECT_LT(max_distance(logits, on_cpu), tolerance(dtype, on_cpu)) << c10::toString(dtype) << " exact " << exact;
    }
  }
}

// On the host device, where attention takes a thousand times as long, they pass a page and the pieces of 64 but no
// more.
std::vector<int64_t> long_and_short() {
  if (testing::on_host_device()) return {1, 17, 66};
  return {1, 17, 300, 1025};
}

// Shapes that FlashInfer's kernels serve: head dimensions 64 and 128, and the groups of Qwen2.5 (6, 7), Qwen3 and
// SmolLM2.
TEST_F(GpuModels, LogitsOfRealHeadShapes) {
  struct Shape {
    int64_t heads, kv_heads, head_dim;
  };
  for (const Shape& shape :
       {Shape{12, 2, 128}, Shape{28, 4, 128}, Shape{14, 2, 64}, Shape{9, 3, 64}, Shape{16, 8, 128}, Shape{5, 1, 64}}) {
    auto json = testing::small_config_json();
    json["num_attention_heads"] = shape.heads;
    json["num_key_value_heads"] = shape.kv_heads;
    json["head_dim"] = shape.head_dim;
    json["hidden_size"] = 256;
    json["max_position_embeddings"] = 2048;
    const auto config = testing::read_config(json);
    std::vector<std::vector<int64_t>> sequences;
    for (const int64_t length : long_and_short()) {
      sequences.emplace_back();
      for (int64_t t = 0; t < length; ++t) sequences.back().push_back((7 * t + length) % 61);
    }
    const auto expected = cached_logits(*CausalLM::init(config, 1, at::kFloat, at::kCPU), sequences, kWhole, false, 16);
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const auto model = CausalLM::init(config, 1, dtype, at::kCUDA);
      for (const int64_t piece : {kWhole, int64_t{64}, int64_t{1}}) {
        const auto logits = cached_logits(*model, sequences, piece, false, 16).cpu().to(at::kFloat);
        EXPECT_LT(max_distance(logits, expected), tolerance(dtype, expected))
            << shape.heads << "/" << shape.kv_heads << " heads of " << shape.head_dim << ", piece " << piece;
      }
    }
  }
}

TEST_F(GpuModels, ExactPrefillAndDecodeAgreeBitForBit) {
  for (const auto& golden : golden_models()) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const auto model = golden.load(dtype, at::kCUDA);
      const auto prefill = cached_logits(*model, golden.sequences(), kWhole, true);
      for (const int64_t piece : {1, 5})
        EXPECT_TRUE(at::equal(prefill, cached_logits(*model, golden.sequences(), piece, true)))
            << golden.folder() << " piece " << piece;
    }
  }
}

// [tokens that have a next one]; those tokens' next ids.
std::pair<at::Tensor, at::Tensor> predicted(const nn::PackedBatch& batch) {
  std::vector<int64_t> rows;
  for (size_t s = 0; s + 1 < batch.offsets.size(); ++s) {
    for (int64_t t = batch.offsets[s]; t + 1 < batch.offsets[s + 1]; ++t) rows.push_back(t);
  }
  const auto index = at::tensor(rows, at::kLong).to(batch.ids.device());
  return {index, batch.ids.index_select(0, index + 1)};
}

// Where to look for the fastest one takes a GPU a second and the host device a minute, it is the one that a GPU would
// choose first.
nn::AttentionKernel best_attention(const ModelConfig& config, at::ScalarType dtype, at::Device device) {
  if (testing::on_host_device())
    return dtype == at::kBFloat16 ? nn::AttentionKernel::kFlash : nn::AttentionKernel::kPadded;
  return nn::choose_attention({config.num_heads, config.num_kv_heads, config.head_dim}, dtype, device, {});
}

// With every attention kernel that runs here and every way to keep activations.
TEST_F(GpuModels, GoldenGradients) {
  for (const auto& golden : golden_models()) {
    const auto stored = io::Safetensors::open(golden.folder() / "expected_grads.safetensors");
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const auto model = golden.load(dtype, at::kCUDA);
      const auto best = best_attention(model->config(), dtype, model->device());
      for (const auto& options : {TrainingOptions{}, TrainingOptions{.recompute = Recompute::kSelective},
                                  TrainingOptions{.recompute = Recompute::kFull, .attention = best}}) {
        model->set_training_options(options);
        for (const auto& [name, parameter] : model->parameters()) parameter.mutable_grad().reset();
        const auto batch = nn::PackedBatch::pack(golden.sequences(), model->device());
        const auto [rows, targets] = predicted(batch);
        const auto n = static_cast<double>(targets.numel());
        const auto head = nn::head_loss(
            model->hidden_states(batch).index_select(0, rows), model->head_weight(), targets, {},
            [&](int64_t, const at::Tensor& log_probs, const at::Tensor&) { return -log_probs.sum() / n; });
        EXPECT_NEAR(head.loss.item<double>(), golden.expected("nll").item<double>(), dtype == at::kFloat ? 1e-4 : 5e-2);
        head.loss.backward();
        double error = 0.0, norm = 0.0;
        for (const auto& [name, parameter] : model->parameters()) {
          const auto expected = testing::to_tensor(stored.at("grad." + name)).to(at::kDouble),
                     found = parameter.grad().cpu().to(at::kDouble);
          const auto scale = expected.abs().max().item<double>();
          if (dtype == at::kFloat) {
            EXPECT_LT(max_distance(found, expected), 1e-4 * std::max(scale, 1e-2)) << golden.folder() << name;
          }
          error += (found - expected).square().sum().item<double>();
          norm += expected.square().sum().item<double>();
        }
        // Of single small tensors in bf16 (a key's bias: its gradients cancel) little is left.
        EXPECT_LT(std::sqrt(error / norm), dtype == at::kFloat ? 1e-4 : 0.06)
            << golden.folder() << ", " << to_string(options.attention);
      }
    }
  }
}

}  // namespace
}  // namespace grpo::models
