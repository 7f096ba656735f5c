// The calls around layers, and the memory that a layer's weights share.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <gtest/gtest.h>

#include <map>

#include "grpo/base/error.h"
#include "models/small_model.h"

namespace grpo::models {
namespace {

using testing::small_model;

LayerHooks recorder(std::vector<std::string>& calls, const std::function<void(int64_t)>& after_backward = {}) {
  const auto note = [&calls](const char* what) {
    return [&calls, what](int64_t layer) { calls.push_back(base::concat(what, layer)); };
  };
  return {.before_forward = [note = note("f")](int64_t layer, const at::Tensor&) { note(layer); },
          .after_forward = note("F"),
          .before_backward = note("b"),
          .after_backward =
              [=, &calls](int64_t layer) {
                calls.push_back(base::concat("B", layer));
                if (after_backward) after_backward(layer);
              }};
}

at::Tensor loss_of(const CausalLM& model) {
  return model.hidden_states(nn::PackedBatch::pack({{1, 2, 3, 4}, {5, 6}})).square().sum();
}

class LayerCalls : public ::testing::TestWithParam<Recompute> {};
INSTANTIATE_TEST_SUITE_P(All, LayerCalls, ::testing::Values(Recompute::kNone, Recompute::kSelective, Recompute::kFull));

TEST_P(LayerCalls, ComeInOrderAndWhenALayersGradientsAreComplete) {
  const auto plain = small_model();
  loss_of(*plain).backward();
  const auto model = small_model();
  model->set_training_options({.recompute = GetParam()});
  std::vector<std::string> calls;
  std::map<size_t, at::Tensor> at_the_call;
  model->set_layer_hooks(recorder(calls, [&](int64_t layer) {
    for (size_t i = 0; i < model->parameters().size(); ++i) {
      const at::Tensor& gradient = model->parameters()[i].second.grad();
      if (model->parameter_layers()[i] == layer) at_the_call[i] = gradient.clone();
      if (model->parameter_layers()[i] >= 0 && model->parameter_layers()[i] < layer) EXPECT_FALSE(gradient.defined());
    }
  }));
  loss_of(*model).backward();
  EXPECT_EQ(calls, (std::vector<std::string>{"f0", "F0", "f1", "F1", "b1", "B1", "b0", "B0"}));
  size_t in_layers = 0;
  for (size_t i = 0; i < model->parameters().size(); ++i) {
    if (model->parameter_layers()[i] < 0) continue;
    ++in_layers;
    EXPECT_TRUE(at::allclose(at_the_call.at(i), plain->parameters()[i].second.grad(), 1e-5, 1e-6))
        << model->parameters()[i].first;
    EXPECT_TRUE(at_the_call.at(i).equal(model->parameters()[i].second.grad())) << model->parameters()[i].first;
  }
  EXPECT_EQ(in_layers + 2, model->parameters().size() - (model->config().tied_embeddings ? 0 : 1));
}

TEST(LayerCalls, HaveNoBackwardWithoutGradient) {
  const auto model = small_model();
  std::vector<std::string> calls;
  model->set_layer_hooks(recorder(calls));
  const at::NoGradGuard no_grad;
  loss_of(*model);
  EXPECT_EQ(calls, (std::vector<std::string>{"f0", "F0", "f1", "F1"}));
}

TEST(LayerMemory, IsSharedByALayersWeightsAndNoOthers) {
  const auto model = small_model();
  std::map<const void*, int64_t> layer_of;
  for (size_t i = 0; i < model->parameters().size(); ++i) {
    const auto& [name, parameter] = model->parameters()[i];
    const void* const memory = parameter.storage().unsafeGetStorageImpl();
    const int64_t layer = model->parameter_layers()[i];
    EXPECT_EQ(layer_of.emplace(memory, layer).first->second, layer) << name;
    if (layer < 0) EXPECT_EQ(parameter.storage().nbytes(), parameter.nbytes()) << name;
    EXPECT_TRUE(parameter.is_leaf() && parameter.requires_grad() && parameter.is_contiguous()) << name;
  }
  EXPECT_EQ(layer_of.size(),
            2 + model->parameters().size() -
                static_cast<size_t>(std::count_if(model->parameter_layers().begin(), model->parameter_layers().end(),
                                                  [](int64_t l) { return l >= 0; })));
}

}  // namespace
}  // namespace grpo::models
