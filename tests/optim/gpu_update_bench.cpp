// Measures updates; not a test. scripts/gpu_check.sh runs it. One JSON line a measurement.
#include <ATen/TensorOperators.h>

#include <cmath>
#include <cstdio>
#include <string>

#include "grpo/nn/lm_head.h"
#include "grpo/optim/optimizer.h"
#include "support/gpu_bench.h"

namespace {

using namespace grpo;
using testing::kDevice;
using testing::print;
using testing::random_model;
using testing::seconds;
using testing::shape_of;

int64_t num_tokens = 32768, length = 1024;  // of the batch, of a sequence
constexpr double kDensePeak = 989e12;       // bf16 operations a second of an H100 or H200 (NVIDIA's data sheets)

nn::PackedBatch batch_of(int64_t vocab_size) {
  std::vector<std::vector<int64_t>> sequences;
  for (int64_t s = 0; s < num_tokens / length; ++s) {
    sequences.emplace_back();
    for (int64_t t = 0; t < length; ++t) sequences.back().push_back(100 + (s * 7919 + t * 104729) % (vocab_size - 100));
  }
  return nn::PackedBatch::pack(sequences, kDevice);
}

// Six operations a weight and token, and attention's over the earlier half of its sequence, forward and backward.
// Looking up an embedding is none.
double operations(const models::ModelConfig& config) {
  const auto looked_up = static_cast<double>(config.tied_embeddings ? 0 : config.vocab_size * config.hidden_size);
  const auto attention = static_cast<double>(config.num_layers * config.num_heads * config.head_dim) * length;
  return static_cast<double>(num_tokens) * 6.0 * (static_cast<double>(config.num_parameters()) - looked_up + attention);
}

// Forward, head with gradient, backward. Every token is trained.
void gradient(const models::CausalLM& model, const nn::PackedBatch& batch) {
  const auto hidden = model.hidden_states(batch);
  const auto targets = batch.ids.roll({-1}, {0});
  nn::head_loss(hidden, model.head_weight(), targets, {}, [](int64_t, const at::Tensor& log_probs, const at::Tensor&) {
    return -log_probs.sum() / static_cast<double>(num_tokens);
  }).loss.backward();
}

void measure(const std::string& name, models::CausalLM& model, const models::TrainingOptions& options,
             const char* recompute) {
  model.set_training_options(options);
  const auto batch = batch_of(model.config().vocab_size);
  const auto clear = [&] {
    for (const auto& [parameter, tensor] : model.parameters()) tensor.mutable_grad().reset();
  };
  const auto run = [&] {
    clear();
    gradient(model, batch);
  };
  run();
  double best = 1e9;
  for (int i = 0; i < 3; ++i) best = std::min(best, seconds(run));
  print({{"bench", "gradient"},
         {"model", name},
         {"tokens", num_tokens},
         {"attention", to_string(options.attention)},
         {"checkpointing", recompute},
         {"seconds", best},
         {"tokens_per_s", static_cast<double>(num_tokens) / best},
         {"mfu_of_989_tflops", operations(model.config()) / best / kDensePeak}});
  clear();
}

void optimizer_step(const std::string& name, models::CausalLM& model) {
  optim::Optimizer optimizer(model.parameters(), optim::OptimizerConfig{});
  gradient(model, batch_of(model.config().vocab_size));
  optimizer.accumulate();
  optimizer.step(10);
  gradient(model, batch_of(model.config().vocab_size));
  optimizer.accumulate();
  print({{"bench", "optimizer step"}, {"model", name}, {"seconds", seconds([&] { optimizer.step(10); })}});
}

}  // namespace

int main(int argc, char** argv) {
  const auto arguments = testing::take_device(argc, argv);
  if (arguments.size() != 1) {
    std::fprintf(stderr, "usage: grpo_gpu_update_bench 1.5b|7b|tiny [--device cpu]\n");
    return 2;
  }
  testing::need_device();
  const std::string name = arguments[0];
  if (name == "tiny") num_tokens = 2 * (length = 128);  // shows that the program works
  const auto config = shape_of(name);
  const auto model = random_model(config);
  const auto best =
      nn::choose_attention({config.num_heads, config.num_kv_heads, config.head_dim}, at::kBFloat16, kDevice, {});
  using models::Recompute;
  for (const auto attention : {nn::AttentionKernel::kPadded, nn::AttentionKernel::kFlash}) {
    try {
      measure(name, *model, {.recompute = Recompute::kSelective, .attention = attention}, "selective");
    } catch (const std::exception& error) {
      const std::string text = error.what();
      print({{"bench", "gradient"},
             {"model", name},
             {"attention", to_string(attention)},
             {"checkpointing", "failed: " + text.substr(0, text.find('\n')).substr(0, 200)}});
    }
  }
  measure(name, *model, {.recompute = Recompute::kNone, .attention = best}, "none");
  measure(name, *model, {.recompute = Recompute::kFull, .attention = best}, "full");
  if (name != "7b") {  // masters and moments of 7B do not fit beside the rest
    model->set_training_options({.recompute = Recompute::kSelective, .attention = best});
    optimizer_step(name, *model);
  }
  return 0;
}
