#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "models/small_model.h"

namespace grpo::models {
namespace {

using testing::small_config_json;
using testing::small_model;

at::Tensor find(const CausalLM& model, const std::string& name) {
  for (const auto& [other, tensor] : model.parameters()) {
    if (other == name) return tensor.detach();
  }
  throw std::runtime_error("no " + name);
}

TEST(Init, GivesNormsOneBiasesZeroAndTheAskedDeviation) {
  const auto model = small_model();
  EXPECT_TRUE(at::equal(find(*model, "model.norm.weight"), at::ones({32})));
  EXPECT_TRUE(at::equal(find(*model, "model.layers.0.self_attn.q_proj.bias"), at::zeros({32})));
  const auto embedding = find(*model, "model.embed_tokens.weight");
  EXPECT_NEAR(embedding.std().item<double>(), 0.125, 0.01);
  EXPECT_NEAR(embedding.mean().item<double>(), 0.0, 0.01);
}

TEST(Init, DependsOnSeedAndNameOnly) {
  const auto one = small_model();
  EXPECT_TRUE(at::equal(find(*one, "model.embed_tokens.weight"), find(*small_model(), "model.embed_tokens.weight")));
  EXPECT_FALSE(at::equal(find(*one, "model.embed_tokens.weight"),
                         find(*small_model(small_config_json(), 2), "model.embed_tokens.weight")));
  EXPECT_FALSE(
      at::equal(find(*one, "model.layers.0.mlp.up_proj.weight"), find(*one, "model.layers.1.mlp.up_proj.weight")));
  auto deeper = small_config_json();
  deeper["num_hidden_layers"] = 5;
  EXPECT_TRUE(at::equal(find(*one, "model.layers.1.mlp.up_proj.weight"),
                        find(*small_model(deeper), "model.layers.1.mlp.up_proj.weight")));
}

TEST(Init, MakesLeavesThatRequireGrad) {
  const auto model = small_model();
  for (const auto& [name, tensor] : model->parameters()) {
    EXPECT_TRUE(tensor.is_leaf() && tensor.requires_grad()) << name;
  }
}

TEST(Init, ListsATiedHeadOnce) {
  auto untied = small_config_json();
  untied["tie_word_embeddings"] = false;
  EXPECT_EQ(small_model(untied)->parameters().size(), small_model()->parameters().size() + 1);
}

}  // namespace
}  // namespace grpo::models
