#include "grpo/models/freeze.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/linear.h>
#include <gtest/gtest.h>

#include "grpo/base/error.h"
#include "grpo/models/causal_lm.h"
#include "models/small_model.h"

namespace grpo::models {
namespace {

using testing::small_model;

TEST(NamesWeight, AtTheBeginningOfAPartAndNotInsideANumber) {
  EXPECT_TRUE(names_weight("embed", "model.embed_tokens.weight"));
  EXPECT_TRUE(names_weight("model", "model.norm.weight"));
  EXPECT_TRUE(names_weight("layers.1", "model.layers.1.mlp.up_proj.weight"));
  EXPECT_TRUE(names_weight("layers.1", "model.layers.1"));
  EXPECT_FALSE(names_weight("layers.1", "model.layers.10.mlp.up_proj.weight"));
  EXPECT_FALSE(names_weight("layers.1", "model.layers.21.mlp.up_proj.weight"));
  EXPECT_TRUE(names_weight("k_proj.bias", "model.layers.3.self_attn.k_proj.bias"));
  EXPECT_FALSE(names_weight("k_proj.bias", "model.layers.3.self_attn.k_proj.weight"));
  EXPECT_FALSE(names_weight("proj", "model.layers.3.self_attn.k_proj.weight"));
  EXPECT_FALSE(names_weight("", "model.norm.weight"));
  EXPECT_FALSE(names_weight("norm.weight.more", "model.norm.weight"));
}

TEST(TrainedElements, AreAllOfTheModelUnlessFrozen) {
  const auto model = small_model();
  const auto& config = model->config();
  const auto all = trained_elements(config, {});
  EXPECT_EQ(all.all, static_cast<double>(config.num_parameters()));
  EXPECT_EQ(all.passed, all.all);
  EXPECT_EQ(all.layers_passed, config.num_layers);
  const auto last = trained_elements(config, {"embed", "layers.0", "norm"});
  double in_last_layer = 0.0;
  for (const auto& [name, tensor] : model->parameters())
    in_last_layer += name.starts_with("model.layers.1.") ? static_cast<double>(tensor.numel()) : 0.0;
  EXPECT_EQ(last.all, in_last_layer);
  EXPECT_EQ(last.layers_passed, 1);
  EXPECT_EQ(last.outside_layers, 0.0);
  EXPECT_LT(last.passed, all.passed);
}

at::Tensor loss_of(const CausalLM& model) {
  const auto hidden = model.hidden_states(nn::PackedBatch::pack({{1, 2, 3, 4}, {5, 6}}));
  return at::linear(hidden, model.head_weight()).square().sum();
}

class FrozenWeights : public ::testing::TestWithParam<Recompute> {};
INSTANTIATE_TEST_SUITE_P(All, FrozenWeights,
                         ::testing::Values(Recompute::kNone, Recompute::kSelective, Recompute::kFull));

// Whatever is frozen, above or below: the rest learns as if nothing were.
TEST_P(FrozenWeights, TakeNoGradientAndLeaveThatOfTheOthersAsItIs) {
  at::set_num_threads(1);  // the model is tiny: threads would wait for each other
  const auto whole = small_model();
  whole->set_training_options({.recompute = GetParam()});
  loss_of(*whole).backward();
  for (const std::vector<std::string>& frozen :
       std::vector<std::vector<std::string>>{{"embed"},
                                             {"layers.0"},
                                             {"embed", "layers.0"},
                                             {"embed", "layers.0", "layers.1.self_attn"},
                                             {"layers.1", "norm"},
                                             {"q_proj", "up_proj"},
                                             {"layers.1.mlp", "k_proj.weight"},
                                             {"embed", "layers.0.input_layernorm", "layers.0.self_attn"},
                                             {"layers"}}) {
    const auto model = small_model();
    model->set_training_options({.recompute = GetParam()});
    model->freeze(frozen);
    loss_of(*model).backward();
    size_t trained = 0;
    for (size_t i = 0; i < model->parameters().size(); ++i) {
      const auto& [name, tensor] = model->parameters()[i];
      SCOPED_TRACE(name + ", frozen " + frozen.back());
      EXPECT_EQ(tensor.requires_grad(), !names_weight(frozen, name));
      if (!tensor.requires_grad()) {
        EXPECT_FALSE(tensor.grad().defined());
        continue;
      }
      ++trained;
      ASSERT_TRUE(tensor.grad().defined());
      EXPECT_TRUE(at::allclose(tensor.grad(), whole->parameters()[i].second.grad(), 1e-5, 1e-6));
    }
    EXPECT_EQ(trained, model->trained().parameters.size());
    EXPECT_EQ(trained, model->trained().layers.size());
  }
}

std::string refusal_of(const std::vector<std::string>& patterns) {
  try {
    small_model()->freeze(patterns);
  } catch (const base::ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(Freeze, RefusesAPatternThatNamesNothingAndAModelWithNothingLeft) {
  EXPECT_NE(refusal_of({"embed", "layer.0"}).find("model.freeze: layer.0 names no weight"), std::string::npos);
  EXPECT_NE(refusal_of({"layers.99"}).find("layers.99"), std::string::npos);
  EXPECT_NE(refusal_of({"model"}).find("no weight is left"), std::string::npos);
  EXPECT_EQ(refusal_of({"layers"}), "");
}

}  // namespace
}  // namespace grpo::models
