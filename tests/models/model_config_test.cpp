#include "grpo/models/model_config.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/json.h"
#include "models/small_model.h"
#include "support/golden.h"
#include "support/message_of.h"

namespace grpo::models {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;
using testing::read_config;
using testing::small_config_json;

std::string error_of(const nlohmann::json& config) {
  return message_of<base::ConfigError>([&] { read_config(config); });
}

nlohmann::json changed(const std::string& key, const nlohmann::json& value, const std::string& model_type = "qwen2") {
  auto config = small_config_json(model_type);
  config[key] = value;
  return config;
}

TEST(ReadModelConfig, KnowsWhatEachFamilyHas) {
  const auto qwen2 = read_config(small_config_json("qwen2"));
  EXPECT_TRUE(qwen2.qkv_bias && !qwen2.output_bias && !qwen2.mlp_bias && !qwen2.qk_norm);
  const auto qwen3 = read_config(small_config_json("qwen3"));
  EXPECT_TRUE(!qwen3.qkv_bias && !qwen3.output_bias && !qwen3.mlp_bias && qwen3.qk_norm);
  const auto llama = read_config(small_config_json("llama"));
  EXPECT_TRUE(!llama.qkv_bias && !llama.output_bias && !llama.mlp_bias && !llama.qk_norm);
}

TEST(ReadModelConfig, ReadsOptionalBiases) {
  const auto llama = read_config(changed("attention_bias", true, "llama"));
  EXPECT_TRUE(llama.qkv_bias && llama.output_bias);
  EXPECT_TRUE(read_config(changed("mlp_bias", true, "llama")).mlp_bias);
  EXPECT_TRUE(read_config(changed("attention_bias", true, "qwen3")).output_bias);
}

TEST(ReadModelConfig, DerivesTheHeadDimWhereItIsNotGiven) {
  auto config = small_config_json("llama");
  config.erase("head_dim");
  EXPECT_EQ(read_config(config).head_dim, 32 / 4);
  EXPECT_EQ(read_config(changed("head_dim", nullptr)).head_dim, 32 / 4);
  EXPECT_EQ(read_config(changed("head_dim", 24)).head_dim, 24);
}

TEST(ReadModelConfig, CountsOneKvHeadPerHeadByDefault) {
  auto config = small_config_json("llama");
  config.erase("num_key_value_heads");
  EXPECT_EQ(read_config(config).num_kv_heads, 4);
}

TEST(ReadModelConfig, ReadsBothSpellingsOfRope) {
  const auto four = read_config(changed("rope_scaling", {{"type", "linear"}, {"factor", 2.0}}));
  auto config = small_config_json();
  config.erase("rope_theta");
  config["rope_parameters"] = {{"rope_type", "linear"}, {"factor", 2.0}, {"rope_theta", 10000.0}};
  const auto five = read_config(config);
  for (const auto& rope : {four.rope, five.rope}) {
    EXPECT_EQ(rope.scaling, RopeConfig::Scaling::kLinear);
    EXPECT_EQ(rope.factor, 2.0);
    EXPECT_EQ(rope.theta, 10000.0);
  }
}

TEST(ReadModelConfig, ReadsOneEosOrSeveral) {
  EXPECT_THAT(read_config(changed("eos_token_id", 5)).eos_ids, ElementsAre(5));
  EXPECT_THAT(read_config(changed("eos_token_id", {5, 7})).eos_ids, ElementsAre(5, 7));
  EXPECT_THAT(read_config(changed("eos_token_id", nullptr)).eos_ids, ElementsAre());
}

TEST(ReadModelConfig, NamesTheKnownFamiliesForAnUnknownOne) {
  EXPECT_THAT(error_of(changed("model_type", "mamba")),
              ::testing::AllOf(HasSubstr("mamba"), HasSubstr("qwen2"), HasSubstr("llama")));
}

// A window of 8 tokens from the second layer on, which transformers slides.
nlohmann::json sliding(const std::string& model_type) {
  auto config = changed("use_sliding_window", true, model_type);
  config["sliding_window"] = 8;
  config["max_window_layers"] = 1;
  return config;
}

TEST(ReadModelConfig, RefusesSlidingWindows) {
  for (const char* type : {"qwen2", "qwen3"}) {
    EXPECT_THAT(error_of(sliding(type)),
                ::testing::AllOf(HasSubstr("use_sliding_window"), HasSubstr("layers 1 to 1 slide over 8 tokens")))
        << type;
  }
  EXPECT_THAT(error_of(changed("layer_types", {"full_attention", "sliding_attention"}, "qwen3")),
              HasSubstr("sliding_attention"));
}

TEST(ReadModelConfig, AcceptsASlidingWindowThatIsSwitchedOff) {
  auto config = changed("use_sliding_window", false);
  config["sliding_window"] = 64;
  config["layer_types"] = {"full_attention", "full_attention"};
  EXPECT_EQ(error_of(config), "no error");
}

TEST(ReadModelConfig, AcceptsAWindowThatNeverSlides) {
  for (const char* type : {"qwen2", "qwen3"}) {
    for (const auto& [key, value] :
         std::vector<std::pair<std::string, nlohmann::json>>{{"sliding_window", nullptr},
                                                             {"sliding_window", 1 << 20},
                                                             {"max_window_layers", 2},
                                                             {"layer_types", {"full_attention", "full_attention"}}}) {
      auto config = sliding(type);
      config[key] = value;
      EXPECT_EQ(error_of(config), "no error") << type << " " << key;
    }
  }
}

TEST(ReadModelConfig, ReadsRopeThatIsNestedByLayerType) {
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    auto config = small_config_json();
    config.erase("rope_theta");
    config[key] = {{"full_attention", {{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 1e6}}},
                   {"sliding_attention", {{"rope_theta", 1e4}}}};
    const auto rope = read_config(config).rope;
    EXPECT_EQ(rope.theta, 1e6) << key;
    EXPECT_EQ(rope.factor, 4.0) << key;
    config[key].erase("full_attention");
    EXPECT_THAT(error_of(config), HasSubstr("full_attention")) << key;
  }
}

TEST(ReadModelConfig, NamesAnEosThatIsNoId) {
  EXPECT_THAT(error_of(changed("eos_token_id", "1")),
              ::testing::AllOf(HasSubstr("config.json: eos_token_id is \"1\""), HasSubstr("a token id")));
  EXPECT_THAT(error_of(changed("eos_token_id", {1, "<eos>"})), HasSubstr("<eos>"));
}

TEST(ReadModelConfig, SaysWhatAFolderIsInstead) {
  const testing::TempDir dir;
  const auto message = [&] { return testing::message_of<base::ConfigError>([&] { read_model_config(dir.path()); }); };
  std::filesystem::create_directories(dir.path() / "step_3");
  io::write_json(dir.path() / "step_3" / "config.json", small_config_json());
  EXPECT_THAT(message(), HasSubstr("it holds one in step_3"));
  io::write_json(dir.path() / "adapter_config.json", {{"base_model_name_or_path", "some/base"}});
  EXPECT_THAT(message(), ::testing::AllOf(HasSubstr("LoRA adapter"), HasSubstr("some/base")));
}

TEST(ReadModelConfig, RefusesWhatItCannotCompute) {
  EXPECT_THAT(error_of(changed("hidden_act", "gelu")), HasSubstr("hidden_act gelu"));
  EXPECT_THAT(error_of(changed("rope_scaling", {{"rope_type", "longrope"}, {"factor", 2.0}})), HasSubstr("longrope"));
  EXPECT_THAT(error_of(changed("rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2.0}})), HasSubstr("dynamic"));
  EXPECT_THAT(error_of(changed("rope_scaling", {{"rope_type", "linear"}, {"factor", 0.0}})), HasSubstr("factor"));
  EXPECT_THAT(error_of(changed("partial_rotary_factor", 0.5)), HasSubstr("partial_rotary_factor"));
  EXPECT_THAT(error_of(changed("quantization_config", {{"quant_method", "gptq"}})), HasSubstr("quantization_config"));
  EXPECT_THAT(error_of(changed("num_key_value_heads", 3)), HasSubstr("num_key_value_heads"));
  EXPECT_THAT(error_of(changed("head_dim", 7)), HasSubstr("head_dim"));
}

TEST(ReadModelConfig, NamesAMissingKeyAndAWrongType) {
  auto config = small_config_json();
  config.erase("vocab_size");
  EXPECT_THAT(error_of(config), HasSubstr("vocab_size"));
  EXPECT_THAT(error_of(changed("hidden_size", "big")), HasSubstr("config.json"));
}

TEST(ReadModelConfig, SaysWhatAFolderWithoutConfigLacks) {
  const testing::TempDir dir;
  EXPECT_THAT(message_of<base::ConfigError>([&] { read_model_config(dir.path()); }), HasSubstr("config.json"));
}

TEST(NumParameters, IsTheSumOfTheTensors) {
  for (const char* model_type : {"qwen2", "qwen3", "llama"}) {
    for (const bool option : {false, true}) {
      auto config = small_config_json(model_type);
      config["tie_word_embeddings"] = config["attention_bias"] = config["mlp_bias"] = option;
      const auto model = testing::small_model(config);
      int64_t count = 0;
      for (const auto& [name, tensor] : model->parameters()) count += tensor.numel();
      EXPECT_EQ(model->config().num_parameters(), count) << model_type << option;
    }
  }
}

TEST(ToJson, ReadsBackAsTheSameModel) {
  for (const char* model_type : {"qwen2", "qwen3", "llama"}) {
    const auto config = read_config(changed("eos_token_id", {5, 7}, model_type));
    const auto json = to_json(config, "float32");
    EXPECT_EQ(to_json(read_config(json), "float32"), json) << model_type;
  }
}

TEST(ToJson, KeepsRopeScaling) {
  const std::vector<nlohmann::json> scalings = {{{"rope_type", "linear"}, {"factor", 2.0}},
                                                {{"rope_type", "llama3"},
                                                 {"factor", 8.0},
                                                 {"low_freq_factor", 1.0},
                                                 {"high_freq_factor", 4.0},
                                                 {"original_max_position_embeddings", 64}},
                                                {{"rope_type", "yarn"},
                                                 {"factor", 4.0},
                                                 {"original_max_position_embeddings", 32},
                                                 {"beta_fast", 16.0},
                                                 {"attention_factor", 1.25}}};
  for (const auto& scaling : scalings) {
    const auto config = read_config(changed("rope_scaling", scaling));
    const auto again = read_config(to_json(config, "float32")).rope;
    EXPECT_EQ(again.scaling, config.rope.scaling);
    EXPECT_EQ(again.factor, config.rope.factor);
    EXPECT_EQ(again.low_freq_factor, config.rope.low_freq_factor);
    EXPECT_EQ(again.original_max_positions, config.rope.original_max_positions);
    EXPECT_EQ(again.beta_fast, config.rope.beta_fast);
    EXPECT_EQ(again.attention_factor, config.rope.attention_factor);
  }
}

TEST(StopIds, AreThoseOfGenerationConfigAndConfig) {
  const testing::TempDir dir;
  testing::write_config(dir.path(), changed("eos_token_id", 5));
  io::write_json(dir.path() / "generation_config.json", {{"eos_token_id", {7, 5}}});
  EXPECT_THAT(stop_ids(dir.path()), ElementsAre(7, 5));
}

TEST(StopIds, NeedNoGenerationConfig) {
  const testing::TempDir dir;
  testing::write_config(dir.path(), changed("eos_token_id", 5));
  EXPECT_THAT(stop_ids(dir.path()), ElementsAre(5));
}

TEST(ReadModelConfig, OverridesTheRotaryBaseWhereverItIsRead) {
  const nlohmann::json plain = {{"rope_type", "linear"}, {"factor", 2.0}};
  auto with_base = plain;
  with_base["rope_theta"] = 1e6;
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    for (const auto& parameters : {plain, with_base, nlohmann::json{{"full_attention", with_base}}}) {
      const testing::TempDir dir;
      testing::write_config(dir.path(), changed(key, parameters));
      EXPECT_EQ(read_model_config(dir.path(), {.rope_theta = 5e5}).rope.theta, 5e5) << key << " " << parameters;
    }
  }
}

TEST(ReadModelConfig, NamesTheFileWhereAnOverrideFindsAValueOfAnotherType) {
  const testing::TempDir dir;
  testing::write_config(dir.path(), changed("rope_parameters", {{"full_attention", "x"}}));
  EXPECT_THAT(message_of<base::ConfigError>([&] { read_model_config(dir.path(), {.rope_theta = 5e5}); }),
              HasSubstr("config.json: cannot use operator[]"));
}

}  // namespace
}  // namespace grpo::models
