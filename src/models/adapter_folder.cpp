// Folders of adapters in the form in which peft saves and loads them.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "grpo/base/error.h"
#include "grpo/io/json_errors.h"
#include "grpo/io/safetensors.h"
#include "grpo/models/weights.h"
#include "models/adapters.h"
#include "models/family.h"
#include "models/model_folder.h"

namespace grpo::models {
namespace fs = std::filesystem;
namespace {

constexpr const char* kConfig = "adapter_config.json";
constexpr const char* kPrefix = "base_model.model.";

std::string config_of(const fs::path& folder) { return (folder / kConfig).string(); }

// What `read` takes out of the adapters' configuration.
template <typename Read>
auto from_config(const fs::path& folder, const Read& read) {
  const auto json = io::read_json(config_of(folder));
  if (!json.is_object()) throw base::ConfigError(config_of(folder) + ": not an object");
  return io::with_json_errors<base::ConfigError>(config_of(folder) + ": not what peft writes",
                                                 [&] { return read(json); });
}

// Whether a key turns nothing on: it is absent, null, false or empty.
bool is_off(const nlohmann::json& json, const char* key) {
  if (!json.contains(key)) return true;
  const auto& value = json.at(key);
  return value.is_null() || value == false || (value.is_structured() && value.empty());
}

void refuse_other_kinds(const nlohmann::json& json, const std::string& where) {
  const auto refuse = [&](const std::string& what) {
    throw base::ConfigError(base::concat(where, ": ", what,
                                         " is not supported; merge the adapters into the model with ",
                                         "peft (merge_and_unload) and use what it saves"));
  };
  if (value_or<std::string>(json, "peft_type", "LORA") != "LORA")
    refuse("peft_type " + json.at("peft_type").get<std::string>());
  if (value_or<std::string>(json, "bias", "none") != "none") refuse("bias " + json.at("bias").get<std::string>());
  for (const char* key :
       {"use_dora", "use_qalora", "use_bdlora", "modules_to_save", "rank_pattern", "alpha_pattern", "fan_in_fan_out",
        "trainable_token_indices", "lora_bias", "alora_invocation_tokens", "arrow_config", "layer_replication"}) {
    if (!is_off(json, key)) refuse(key);
  }
  // These initialisations subtract the product of the first factors from the weights, or replace the weights by
  // quantised ones. The saved factors then belong to those weights, which are not the base model's.
  const auto init = json.find("init_lora_weights");
  const std::string how = init != json.end() && init->is_string() ? init->get<std::string>() : "";
  for (const char* changes_weights : {"pissa", "olora", "corda", "loftq", "lora_ga"}) {
    if (how.starts_with(changes_weights)) refuse("init_lora_weights " + how);
  }
}

// Writes a whole number without a fraction, as peft does.
nlohmann::json number(double value) {
  const auto whole = static_cast<int64_t>(value);
  return static_cast<double>(whole) == value ? nlohmann::json(whole) : nlohmann::json(value);
}

nlohmann::json to_json(const LoraConfig& config, const NamedTensors& factors, const fs::path& base) {
  std::set<std::string> targets;  // last part of the layers' names, such as q_proj
  for (const auto& [name, factor] : factors) {
    const auto module = name.substr(0, name.find(".lora_"));
    targets.insert(module.substr(module.rfind('.') + 1));
  }
  return {{"peft_type", "LORA"},
          {"task_type", "CAUSAL_LM"},
          {"base_model_name_or_path", fs::weakly_canonical(base).string()},
          {"r", config.rank},
          {"lora_alpha", number(config.alpha)},
          {"lora_dropout", config.dropout},
          {"target_modules", targets},
          {"bias", "none"},
          {"fan_in_fan_out", false},
          {"init_lora_weights", true},
          {"inference_mode", true},
          {"modules_to_save", nullptr},
          {"use_dora", false},
          {"use_rslora", false}};
}

LoraConfig to_config(const nlohmann::json& json, const std::string& where) {
  refuse_other_kinds(json, where);
  LoraConfig config{.rank = json.at("r").get<int64_t>(),
                    .alpha = json.at("lora_alpha").get<double>(),
                    .dropout = value_or(json, "lora_dropout", 0.0),
                    .targets = {}};
  if (config.rank < 1) throw base::ConfigError(base::concat(where, ": r is ", config.rank, ", expected at least 1"));
  // rsLoRA multiplies by alpha / sqrt(rank).
  if (value_or(json, "use_rslora", false)) config.alpha *= std::sqrt(static_cast<double>(config.rank));
  return config;
}

at::Tensor read_factor(const io::Safetensors& stored, const std::string& name, at::IntArrayRef shape,
                       const fs::path& folder) {
  const auto value = tensor_view(stored.at(name));
  if (value.sizes() != shape) {
    throw base::IoError(base::concat((folder / kAdapterWeights).string(), ": ", name, " has shape ", value.sizes(),
                                     ", the base model and r of adapter_config.json need ", shape));
  }
  check_values(value, name, folder / kAdapterWeights);
  return value;
}

LoraConfig config_in(const fs::path& folder) {
  return from_config(folder, [&](const nlohmann::json& json) { return to_config(json, config_of(folder)); });
}

// Gives the layers adapters whose factors still lie in the mapped file, in its dtype.
void attach(const io::Safetensors& stored, const LoraConfig& config, const fs::path& folder, DecoderWeights& weights) {
  size_t used = 0;
  for (const NamedLinear& named : linears_of(weights)) {
    const auto name = [&](const char* factor) {
      return base::concat(kPrefix, named.module, ".lora_", factor, ".weight");
    };
    if (!stored.contains(name("A"))) continue;
    const at::Tensor& weight = named.linear->weight;
    named.linear->adapter = {.a = read_factor(stored, name("A"), {config.rank, weight.size(1)}, folder),
                             .b = read_factor(stored, name("B"), {weight.size(0), config.rank}, folder),
                             .scale = config.alpha / static_cast<double>(config.rank)};
    used += 2;
  }
  if (used == 0 || used != stored.tensors().size()) {
    throw base::IoError(base::concat((folder / kAdapterWeights).string(), ": ", stored.tensors().size(),
                                     " tensors, of which ", used, " have a place in the base model; one is called ",
                                     stored.tensors().begin()->first));
  }
}

}  // namespace

bool is_adapter_folder(const fs::path& folder) { return fs::exists(folder / kConfig); }

fs::path base_folder(const fs::path& folder) {
  if (!is_adapter_folder(folder)) return folder;
  const auto named = from_config(
      folder, [](const nlohmann::json& json) { return value_or<std::string>(json, "base_model_name_or_path", ""); });
  for (const fs::path& model : {fs::path(named), folder / named}) {
    if (named.empty() || !fs::exists(model / "config.json")) continue;
    if (is_adapter_folder(model) && !fs::equivalent(model, folder)) {
      throw base::ConfigError(base::concat(config_of(folder), ": base_model_name_or_path is \"", named,
                                           "\", where adapters lie beside the model; merge them into it first"));
    }
    return model;
  }
  throw base::ConfigError(base::concat(config_of(folder), ": base_model_name_or_path is \"", named,
                                       "\", and there is no such model folder; write the path of the model that the ",
                                       "adapters were trained on there"));
}

LoraConfig read_adapters(DecoderWeights& weights, const fs::path& folder) {
  const at::NoGradGuard no_grad;
  const auto config = config_in(folder);
  const auto stored = io::Safetensors::open(folder / kAdapterWeights);
  attach(stored, config, folder, weights);
  copy_adapters(weights);
  return config;
}

void merge_adapters(DecoderWeights& weights, const fs::path& folder) {
  const at::NoGradGuard no_grad;
  const auto stored = io::Safetensors::open(folder / kAdapterWeights);
  attach(stored, config_in(folder), folder, weights);
  for (const auto& named : linears_of(weights)) {
    const nn::Adapter& adapter = named.linear->adapter;
    at::Tensor& weight = named.linear->weight;
    if (!adapter.is_there()) continue;
    const auto wide = [&](const at::Tensor& x) { return x.to(weight.options().dtype(at::kFloat)); };
    weight.copy_(at::addmm(wide(weight), wide(adapter.b), wide(adapter.a), 1, adapter.scale));
  }
  remove_adapters(weights);
}

NamedTensors named_as_saved(const NamedTensors& factors) {
  NamedTensors named;
  for (const auto& [name, factor] : factors) named.emplace_back(kPrefix + name, factor);
  return named;
}

void save_adapters(const fs::path& folder, const NamedTensors& factors, const LoraConfig& config,
                   const fs::path& base) {
  fs::create_directories(folder);
  write_tensors(folder / kAdapterWeights, named_as_saved(factors));
  io::write_json(folder / kConfig, to_json(config, factors, base));
  if (!base.empty()) copy_companions(base, folder);
}

}  // namespace grpo::models
