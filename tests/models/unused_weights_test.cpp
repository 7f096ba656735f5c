// Tensors of a model's files that its config.json has no place for.
#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros_like.h>
#include <gmock/gmock.h>

#include "grpo/base/error.h"
#include "grpo/io/safetensors.h"
#include "grpo/models/weights.h"
#include "models/small_model.h"
#include "support/golden.h"
#include "support/message_of.h"

namespace grpo::models {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::message_of;
using testing::small_config_json;
using testing::small_model;

// The small model with further tensors in its file.
class UnusedWeights : public ::testing::Test {
 protected:
  void write(const std::vector<std::pair<std::string, at::Tensor>>& more) {
    const auto model = small_model();
    model->save(dir_.path(), {});
    std::vector<std::pair<std::string, at::Tensor>> all;
    for (const auto& [name, tensor] : model->parameters()) all.emplace_back(name, tensor.detach());
    all.insert(all.end(), more.begin(), more.end());
    std::vector<std::pair<std::string, io::TensorBytes>> views;
    for (const auto& [name, tensor] : all) views.emplace_back(name, tensor_bytes(tensor));
    io::write_safetensors(dir_.path() / "model.safetensors", views);
  }

  std::string load_error() {
    return message_of<base::IoError>([&] { CausalLM::load(dir_.path(), at::kFloat, at::kCPU); });
  }

  testing::TempDir dir_;
};

TEST_F(UnusedWeights, AreNamedWhenTheyWouldBeLost) {
  for (const char* name : {"model.layers.7.input_layernorm.weight", "model.layers.0.self_attn.o_proj.bias",
                           "model.layers.0.self_attn.q_norm.weight"}) {
    write({{name, at::ones({4})}});
    EXPECT_THAT(load_error(), AllOf(HasSubstr(name), HasSubstr("1 tensor is not used"), HasSubstr("config.json")))
        << name;
  }
}

TEST_F(UnusedWeights, AreCountedWhenTheyAreMany) {
  std::vector<std::pair<std::string, at::Tensor>> more;
  for (int i = 0; i < 8; ++i) more.emplace_back("model.layers.9.t" + std::to_string(i), at::ones({1}));
  write(more);
  EXPECT_THAT(load_error(), AllOf(HasSubstr("8 tensors are not used"), HasSubstr("and 3 more")));
}

TEST_F(UnusedWeights, OfAnAdapterSayWhatToDo) {
  write({{"model.layers.0.self_attn.q_proj.lora_A.weight", at::ones({2, 2})}});
  EXPECT_THAT(load_error(), HasSubstr("merge it"));
}

TEST_F(UnusedWeights, AreAHeadOfItsOwnBesideTiedEmbeddings) {
  ASSERT_TRUE(small_config_json().at("tie_word_embeddings").get<bool>());
  write({{"lm_head.weight", at::zeros_like(small_model()->head_weight())}});
  EXPECT_THAT(load_error(), AllOf(HasSubstr("lm_head.weight"), HasSubstr("tie_word_embeddings")));
}

TEST_F(UnusedWeights, ThatSayNothingOfTheirOwnAreNoMistake) {
  write({{"lm_head.weight", small_model()->head_weight().detach()},
         {"model.layers.0.self_attn.rotary_emb.inv_freq", at::ones({4})}});
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(load_error(), "no error");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST_F(UnusedWeights, OfAnotherTasksHeadAreAWarning) {
  write({{"score.weight", at::ones({1, 4})}});
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(load_error(), "no error");
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), AllOf(HasSubstr("score.weight"), HasSubstr("not exported")));
}

}  // namespace
}  // namespace grpo::models
