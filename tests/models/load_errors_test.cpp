#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "models/small_model.h"
#include "support/golden.h"

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
