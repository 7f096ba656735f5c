#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "grpo/io/file.h"
#include "grpo/io/json.h"
#include "models/golden_model.h"
#include "models/small_model.h"
#include "support/golden.h"

namespace grpo::models {
namespace {

namespace fs = std::filesystem;
using testing::golden_models;
using testing::small_config_json;
using testing::small_model;

void expect_same_tensors(const fs::path& a, const fs::path& b) {
  const auto first = io::Safetensors::open(a);
  const auto second = io::Safetensors::open(b);
  ASSERT_EQ(first.tensors().size(), second.tensors().size());
  for (const auto& [name, bytes] : first.tensors()) {
    const auto& other = second.at(name);
    EXPECT_EQ(bytes.dtype, other.dtype) << name;
    EXPECT_EQ(bytes.shape, other.shape) << name;
    EXPECT_TRUE(std::ranges::equal(bytes.bytes, other.bytes)) << name;
  }
}

at::ScalarType stored_dtype(const fs::path& folder) {
  const auto config = io::read_json(folder / "config.json");
  const auto name = config.contains("dtype") ? config["dtype"] : config["torch_dtype"];
  return name == "bfloat16" ? at::kBFloat16 : name == "float16" ? at::kHalf : at::kFloat;
}

TEST(GoldenSave, LoadAndSaveIsARoundTrip) {
  for (const auto& golden : golden_models()) {
    const testing::TempDir dir;
    CausalLM::load(golden.folder(), stored_dtype(golden.folder()), at::kCPU)->save(dir.path(), golden.folder());
    expect_same_tensors(golden.folder(), dir.path());
    EXPECT_EQ(io::read_json(golden.folder() / "config.json"), io::read_json(dir.path() / "config.json"));
  }
}

TEST(GoldenSave, ShardsAreARoundTrip) {
  for (const auto& golden : golden_models()) {
    const testing::TempDir dir;
    const auto model = CausalLM::load(golden.folder(), stored_dtype(golden.folder()), at::kCPU);
    int64_t bytes = 0;
    for (const auto& [name, tensor] : model->parameters()) bytes += static_cast<int64_t>(tensor.nbytes());
    model->save(dir.path(), {}, /*max_shard_bytes=*/bytes / 3);
    expect_same_tensors(golden.folder(), dir.path());
    EXPECT_TRUE(fs::exists(dir.path() / "model.safetensors.index.json"));
    EXPECT_FALSE(fs::exists(dir.path() / "model.safetensors"));
  }
}

TEST(Save, WritesAnIndexAsTransformersDoes) {
  const testing::TempDir dir;
  const auto model = small_model();
  model->save(dir.path(), {}, 10'000);
  const auto index = io::read_json(dir.path() / "model.safetensors.index.json");
  int64_t bytes = 0;
  for (const auto& [name, tensor] : model->parameters()) {
    bytes += static_cast<int64_t>(tensor.nbytes());
    EXPECT_TRUE(fs::exists(dir.path() / index.at("weight_map").at(name).get<std::string>())) << name;
  }
  EXPECT_EQ(index.at("metadata").at("total_size"), bytes);
}

TEST(Save, ReplacesWhatAnEarlierSaveLeft) {
  const testing::TempDir dir;
  small_model()->save(dir.path(), {}, 10'000);
  const auto other = small_model(small_config_json(), 2);
  other->save(dir.path(), {});
  EXPECT_FALSE(fs::exists(dir.path() / "model.safetensors.index.json"));
  const auto again = CausalLM::load(dir.path(), at::kFloat, at::kCPU);
  EXPECT_TRUE(at::equal(again->head_weight(), other->head_weight()));
  small_model()->save(dir.path(), {}, 20'000);
  EXPECT_FALSE(fs::exists(dir.path() / "model.safetensors"));
  EXPECT_TRUE(at::equal(CausalLM::load(dir.path(), at::kFloat, at::kCPU)->head_weight(), small_model()->head_weight()));
}

TEST(Save, CopiesTokenizerAndGenerationFiles) {
  const testing::TempDir source, dir;
  for (const char* name :
       {"tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "merges.txt", "added_tokens.json",
        "special_tokens_map.json", "chat_template.jinja", "generation_config.json"}) {
    io::write_file_atomic(source.path() / name, std::string("contents of ") + name);
  }
  io::write_file_atomic(source.path() / "notes.txt", "not a part of the model");
  small_model()->save(dir.path(), source.path());
  EXPECT_EQ(io::read_file(dir.path() / "tokenizer.json"), "contents of tokenizer.json");
  EXPECT_EQ(io::read_file(dir.path() / "chat_template.jinja"), "contents of chat_template.jinja");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), {}), 9 + 2);  // and config.json, model.safetensors
}

TEST(Save, MayReplaceTheFolderItCameFrom) {
  const testing::TempDir dir;
  small_model()->save(dir.path(), {});
  io::write_file_atomic(dir.path() / "tokenizer.json", "{}");
  const auto model = CausalLM::load(dir.path(), at::kFloat, at::kCPU);
  model->save(dir.path(), dir.path());
  EXPECT_EQ(io::read_file(dir.path() / "tokenizer.json"), "{}");
  EXPECT_TRUE(at::equal(CausalLM::load(dir.path(), at::kFloat, at::kCPU)->head_weight(), model->head_weight()));
}

TEST(Save, WritesWhatTheRunOverrides) {
  for (const bool five : {false, true}) {
    const testing::TempDir source, dir;
    small_model()->save(source.path(), {});
    auto config = small_config_json();
    if (five) {
      config.erase("rope_theta");
      config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 10000.0}};
    }
    testing::write_config(source.path(), config);
    const auto model = CausalLM::load(source.path(), at::kFloat, at::kCPU, {.max_positions = 999, .rope_theta = 5e5});
    EXPECT_EQ(model->config().max_positions, 999);
    EXPECT_EQ(model->config().rope.theta, 5e5);
    model->save(dir.path(), source.path());
    config["architectures"] = {"Qwen2ForCausalLM"};
    config["max_position_embeddings"] = 999;
    (five ? config["rope_parameters"] : config)["rope_theta"] = 5e5;
    EXPECT_EQ(io::read_json(dir.path() / "config.json"), config);
  }
}

// Of a reward model, or of none: what is saved predicts tokens.
TEST(Save, NamesTheArchitectureThatWasTrained) {
  const testing::TempDir source, dir;
  small_model()->save(source.path(), {});
  auto config = small_config_json();
  config["architectures"] = {"Qwen2ForSequenceClassification"};
  config["dtype"] = "float16";
  config["torch_dtype"] = "float64";  // a second key that went stale
  testing::write_config(source.path(), config);
  CausalLM::load(source.path(), at::kFloat, at::kCPU)->save(dir.path(), source.path());
  const auto saved = io::read_json(dir.path() / "config.json");
  EXPECT_EQ(saved.at("architectures"), nlohmann::json({"Qwen2ForCausalLM"}));
  EXPECT_EQ(saved.at("dtype"), "float32");
  EXPECT_EQ(saved.at("torch_dtype"), "float32");
}

TEST(Save, UpdatesOnlyDtypeAndArchitectureOfTheConfig) {
  const testing::TempDir source, dir;
  small_model()->save(source.path(), {});
  auto config = small_config_json();
  config["my_key"] = {{"kept", true}};
  testing::write_config(source.path(), config);
  CausalLM::load(source.path(), at::kBFloat16, at::kCPU)->save(dir.path(), source.path());
  config["torch_dtype"] = "bfloat16";
  config["architectures"] = {"Qwen2ForCausalLM"};
  EXPECT_EQ(io::read_json(dir.path() / "config.json"), config);
}

}  // namespace
}  // namespace grpo::models
