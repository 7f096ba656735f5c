#include "grpo/models/model_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/io/json_errors.h"
#include "models/family.h"
#include "models/model_folder.h"
#include "models/rope.h"

namespace grpo::models {
namespace {

// The end of the message about a folder without config.json: what it is instead, and what to do with it.
std::string other_kind_of_folder(const std::filesystem::path& folder) {
  if (std::filesystem::exists(folder / "adapter_config.json")) {
    std::string base;
    try {
      base = value_or<std::string>(io::read_json(folder / "adapter_config.json"), "base_model_name_or_path", "");
    } catch (const std::exception&) {  // a broken file only means that the message names no base model
    }
    return "; it is a LoRA adapter (adapter_config.json): merge it into its base model" +
           (base.empty() ? "" : " " + base) +
           " first, as `grpo checkpoint export --merged` or merge_and_unload() of PEFT does, and save the whole";
  }
  if (!std::filesystem::is_directory(folder)) return "";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".gguf") return "; it holds GGUF files: expected the model they were made from";
    if (entry.is_directory() && std::filesystem::exists(entry.path() / "config.json"))
      return "; it holds one in " + entry.path().filename().string();
  }
  return "";
}

const Family& family_of(const std::string& model_type, const std::string& where) {
  std::vector<std::string> known;
  for (const auto& family : families()) {
    if (family.model_type == model_type) return family;
    known.push_back(family.model_type);
  }
  throw base::ConfigError(
      base::concat(where, ": model_type ", model_type, " is not supported (known: ", base::join(known, ", "), ")"));
}

template <typename T>
T required(const nlohmann::json& json, const char* key, const std::string& where) {
  if (!json.contains(key) || json.at(key).is_null()) throw base::ConfigError(base::concat(where, ": no ", key));
  return json.at(key).get<T>();
}

// Ids of a key that holds a number, a list or null, as eos_token_id does.
std::vector<int64_t> ids_of(const nlohmann::json& json, const char* key, const std::string& where) {
  if (!json.is_object() || !json.contains(key) || json.at(key).is_null()) return {};
  const auto values = json.at(key).is_array() ? json.at(key) : nlohmann::json::array({json.at(key)});
  std::vector<int64_t> ids;
  for (const auto& value : values) {
    if (!value.is_number_integer())
      throw base::ConfigError(base::concat(where, ": ", key, " is ", value.dump(),
                                           ", expected a token id such as 151643, or a list of them"));
    ids.push_back(value.get<int64_t>());
  }
  return ids;
}

void check_shape(const ModelConfig& config, const std::string& where) {
  const auto fail = [&](const std::string& what) { throw base::ConfigError(where + ": " + what); };
  if (config.num_kv_heads < 1 || config.num_heads % config.num_kv_heads != 0) {
    fail(base::concat("num_attention_heads ", config.num_heads, " is no multiple of num_key_value_heads ",
                      config.num_kv_heads));
  }
  if (config.head_dim < 2 || config.head_dim % 2 != 0) fail(base::concat("head_dim ", config.head_dim, " is not even"));
  if (config.vocab_size < 1 || config.hidden_size < 1 || config.num_layers < 1) fail("a size is below 1");
}

void refuse_quantization(const nlohmann::json& json, const std::string& where) {
  if (json.contains("quantization_config") && !json.at("quantization_config").is_null()) {
    throw base::ConfigError(
        where + ": quantization_config: quantized weights cannot be trained; expected the unquantized checkpoint");
  }
}

void override_config(const ConfigOverrides& overrides, nlohmann::json& json) {
  if (overrides.max_positions) json["max_position_embeddings"] = *overrides.max_positions;
  if (overrides.rope_theta) set_rope_theta(json, *overrides.rope_theta);
}

ModelConfig from_json(const nlohmann::json& json, const std::string& where) {
  ModelConfig config;
  config.model_type = required<std::string>(json, "model_type", where);
  const Family& family = family_of(config.model_type, where);
  const auto activation = value_or<std::string>(json, "hidden_act", "silu");
  if (activation != "silu")
    throw base::ConfigError(where + ": hidden_act " + activation + " is not supported (known: silu)");
  refuse_quantization(json, where);
  config.vocab_size = required<int64_t>(json, "vocab_size", where);
  config.hidden_size = required<int64_t>(json, "hidden_size", where);
  config.intermediate_size = required<int64_t>(json, "intermediate_size", where);
  config.num_layers = required<int64_t>(json, "num_hidden_layers", where);
  config.num_heads = required<int64_t>(json, "num_attention_heads", where);
  config.num_kv_heads = value_or(json, "num_key_value_heads", config.num_heads);
  config.max_positions = value_or<int64_t>(json, "max_position_embeddings", 2048);
  config.norm_eps = value_or(json, "rms_norm_eps", 1e-6);
  config.initializer_range = value_or(json, "initializer_range", 0.02);
  config.tied_embeddings = value_or(json, "tie_word_embeddings", false);
  config.head_dim = config.hidden_size / std::max<int64_t>(config.num_heads, 1);
  family.read(json, where, config);
  config.head_dim = value_or(json, "head_dim", config.head_dim);
  config.rope = read_rope(json, config.max_positions, where);
  config.eos_ids = ids_of(json, "eos_token_id", where);
  const auto bos = ids_of(json, "bos_token_id", where);
  if (!bos.empty()) config.bos_id = bos.front();
  check_shape(config, where);
  return config;
}

}  // namespace

namespace {

void refuse_layer_types(const std::vector<std::string>& types, const std::string& where) {
  for (const auto& type : types) {
    if (type == "full_attention") continue;
    throw base::ConfigError(where + ": layer_types: " + type +
                            " is not supported; expected full_attention in every layer");
  }
}

// Names the model as transformers names one with a single output; other trainers read it as a reward or value model.
void add_value_head(const std::string& architecture, nlohmann::json& json) {
  json["architectures"] = {architecture.substr(0, architecture.find("ForCausalLM")) + "ForSequenceClassification"};
  json["id2label"] = {{"0", "LABEL_0"}};
  json["label2id"] = {{"LABEL_0", 0}};
}

}  // namespace

// Without layer_types, transformers lets the layers from max_window_layers on use a sliding window, if one is
// set. A window that is as long as the context covers everything and is no restriction. The defaults here are
// those of Qwen's configurations.
void refuse_sliding_window(const nlohmann::json& json, const std::string& where) {
  const auto types = value_or<std::vector<std::string>>(json, "layer_types", {});
  if (!types.empty()) return refuse_layer_types(types, where);
  const bool no_window = json.contains("sliding_window") && json.at("sliding_window").is_null();
  if (!value_or(json, "use_sliding_window", false) || no_window) return;
  const auto window = value_or<int64_t>(json, "sliding_window", 4096);
  const auto first = value_or<int64_t>(json, "max_window_layers", 28);
  const auto layers = value_or<int64_t>(json, "num_hidden_layers", 0);
  if (first >= layers || window >= value_or<int64_t>(json, "max_position_embeddings", 2048)) return;
  throw base::ConfigError(base::concat(where, ": use_sliding_window: true makes layers ", first, " to ", layers - 1,
                                       " slide over ", window,
                                       " tokens, which is not supported; expected full attention in every layer"));
}

int64_t ModelConfig::num_parameters() const {
  const int64_t q = num_heads * head_dim;
  const int64_t kv = num_kv_heads * head_dim;
  int64_t layer = hidden_size * (2 * q + 2 * kv) + 3 * hidden_size * intermediate_size + 2 * hidden_size;
  if (qkv_bias) layer += q + 2 * kv;
  if (output_bias) layer += hidden_size;
  if (mlp_bias) layer += 2 * intermediate_size + hidden_size;
  if (qk_norm) layer += 2 * head_dim;
  const int64_t head = value_head ? hidden_size : tied_embeddings ? 0 : vocab_size * hidden_size;
  return num_layers * layer + vocab_size * hidden_size + head + hidden_size;
}

nlohmann::json read_config_json(const std::filesystem::path& folder, const ConfigOverrides& overrides) {
  const auto path = folder / "config.json";
  if (!std::filesystem::exists(path)) {
    throw base::ConfigError(
        folder.string() +
        ": no config.json; expected a Hugging Face model folder (scripts/get_model.sh obtains public ones)" +
        other_kind_of_folder(folder));
  }
  auto json = io::read_json(path);
  if (!json.is_object()) throw base::ConfigError(path.string() + ": expected a JSON object");
  io::with_json_errors<base::ConfigError>(path.string(), [&] { override_config(overrides, json); });
  return json;
}

ModelConfig read_model_config(const std::filesystem::path& folder, const ConfigOverrides& overrides) {
  const auto json = read_config_json(folder, overrides);
  const auto where = (folder / "config.json").string();
  ModelConfig config = io::with_json_errors<base::ConfigError>(where + ": a value has the wrong type",
                                                               [&] { return from_json(json, where); });
  config.value_head = overrides.value_head;
  if (config.value_head) config.tied_embeddings = false;
  return config;
}

nlohmann::json to_json(const ModelConfig& config, const std::string& torch_dtype) {
  const Family& family = family_of(config.model_type, "config.json");
  nlohmann::json json = {{"architectures", {family.architecture}},
                         {"model_type", config.model_type},
                         {"vocab_size", config.vocab_size},
                         {"hidden_size", config.hidden_size},
                         {"intermediate_size", config.intermediate_size},
                         {"num_hidden_layers", config.num_layers},
                         {"num_attention_heads", config.num_heads},
                         {"num_key_value_heads", config.num_kv_heads},
                         {"head_dim", config.head_dim},
                         {"hidden_act", "silu"},
                         {"max_position_embeddings", config.max_positions},
                         {"rms_norm_eps", config.norm_eps},
                         {"initializer_range", config.initializer_range},
                         {"tie_word_embeddings", config.tied_embeddings},
                         {"rope_theta", config.rope.theta},
                         {"torch_dtype", torch_dtype}};
  json["eos_token_id"] =
      config.eos_ids.size() == 1 ? nlohmann::json(config.eos_ids[0]) : nlohmann::json(config.eos_ids);
  if (config.bos_id) json["bos_token_id"] = *config.bos_id;
  if (config.rope.scaling != RopeConfig::Scaling::kNone) json["rope_scaling"] = scaling_to_json(config.rope);
  family.write(config, json);
  if (config.value_head) add_value_head(family.architecture, json);
  return json;
}

std::vector<int64_t> stop_ids(const std::filesystem::path& folder) {
  std::vector<int64_t> ids;
  for (const char* name : {"generation_config.json", "config.json"}) {
    if (!std::filesystem::exists(folder / name)) continue;
    for (const int64_t id : ids_of(io::read_json(folder / name), "eos_token_id", (folder / name).string())) {
      if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
    }
  }
  return ids;
}

}  // namespace grpo::models
