#include <ATen/TensorOperators.h>
#include <gmock/gmock.h>

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

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

std::string load_error(const std::filesystem::path& folder) {
  return message_of<base::IoError>([&] { CausalLM::load(folder, at::kFloat, at::kCPU); });
}

TEST(LoadErrors, NameATensorThatIsMissing) {
  const testing::TempDir dir;
  small_model()->save(dir.path(), {});
  auto config = small_config_json();
  config["num_hidden_layers"] = 3;
  testing::write_config(dir.path(), config);
  EXPECT_THAT(load_error(dir.path()), HasSubstr("model.layers.2."));
}

TEST(LoadErrors, NameATensorOfAnotherShape) {
  const testing::TempDir dir;
  small_model()->save(dir.path(), {});
  auto config = small_config_json();
  config["vocab_size"] = 62;
  testing::write_config(dir.path(), config);
  EXPECT_THAT(load_error(dir.path()),
              AllOf(HasSubstr("model.embed_tokens.weight"), HasSubstr("[61, 32]"), HasSubstr("[62, 32]")));
}

// The saved model with this tensor changed.
void change(const std::filesystem::path& folder, const std::string& name,
            const std::function<at::Tensor(const at::Tensor&)>& how) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  {
    const auto stored = io::Safetensors::open(folder);
    for (const auto& [key, bytes] : stored.tensors()) {
      const auto value = tensor_view(bytes).clone();
      tensors.emplace_back(key, key == name ? how(value) : value);
    }
  }
  std::vector<std::pair<std::string, io::TensorBytes>> views;
  for (const auto& [key, tensor] : tensors) views.emplace_back(key, tensor_bytes(tensor));
  io::write_safetensors(folder / "model.safetensors", views);
}

TEST(LoadErrors, NameATensorWhoseValuesAreNotFinite) {
  for (const double value : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    const testing::TempDir dir;
    small_model()->save(dir.path(), {});
    change(dir.path(), "model.norm.weight", [value](at::Tensor tensor) { return tensor[3].fill_(value), tensor; });
    EXPECT_THAT(load_error(dir.path()), HasSubstr("model.norm.weight holds values that are not finite"));
  }
}

// A large one is looked at in pieces.
TEST(LoadErrors, NameALargeTensorWhoseLastValueIsNotFinite) {
  const testing::TempDir dir;
  auto json = testing::small_config_json();
  json["vocab_size"] = (1 << 20) / json["hidden_size"].get<int64_t>() + 7;
  small_model(json)->save(dir.path(), {});
  EXPECT_EQ(load_error(dir.path()), "no error");
  change(dir.path(), "model.embed_tokens.weight",
         [](at::Tensor tensor) { return tensor.view({-1})[-1].fill_(std::nan("")), tensor; });
  EXPECT_THAT(load_error(dir.path()), HasSubstr("model.embed_tokens.weight holds values that are not finite"));
}

TEST(LoadErrors, NameATensorThatIsNotStoredAsFloatingPoint) {
  const testing::TempDir dir;
  small_model()->save(dir.path(), {});
  change(dir.path(), "model.embed_tokens.weight", [](const at::Tensor& tensor) { return tensor.to(at::kInt); });
  EXPECT_THAT(load_error(dir.path()),
              AllOf(HasSubstr("model.embed_tokens.weight is stored as Int"), HasSubstr("quantised")));
}

TEST(LoadErrors, NameTheTensorOfHeadsThatNoMemoryHolds) {
  const testing::TempDir dir;
  small_model()->save(dir.path(), {});
  auto config = small_config_json();
  config["head_dim"] = 1'000'000'000'000'000;
  testing::write_config(dir.path(), config);
  EXPECT_THAT(load_error(dir.path()), HasSubstr("q_proj.weight has shape"));
}

TEST(LoadErrors, NameMoreLayersThanThereCanBe) {
  const testing::TempDir dir;
  small_model()->save(dir.path(), {});
  auto config = small_config_json();
  config["num_hidden_layers"] = 1'000'000'000;
  testing::write_config(dir.path(), config);
  EXPECT_THAT(load_error(dir.path()),
              HasSubstr("config.json says num_hidden_layers 1000000000, but the weights are only"));
}

TEST(LoadErrors, NameTheFolderWithoutWeights) {
  const testing::TempDir dir;
  testing::write_config(dir.path(), small_config_json());
  EXPECT_THAT(load_error(dir.path()), HasSubstr(dir.path().string()));
}

TEST(LoadErrors, NameAnUnlistedHead) {
  const testing::TempDir dir;
  small_model()->save(dir.path(), {});
  auto config = small_config_json();
  config["tie_word_embeddings"] = false;
  testing::write_config(dir.path(), config);
  EXPECT_THAT(load_error(dir.path()), HasSubstr("lm_head.weight"));
}

}  // namespace
}  // namespace grpo::models
