#include "tokenizer/model_files.h"

#include <nlohmann/json.hpp>

#include "grpo/io/file.h"
#include "grpo/io/json_errors.h"

namespace grpo::tokenizer {
namespace {

/// "text", or an added token {"content": "text", ...}.
std::optional<std::string> token_text(const nlohmann::json& config, const char* key) {
  const auto entry = config.find(key);
  if (entry == config.end()) return std::nullopt;
  if (entry->is_string()) return entry->get<std::string>();
  if (entry->is_object() && entry->contains("content")) return entry->at("content").get<std::string>();
  return std::nullopt;
}

/// A text, or a list of named templates of which "default" is meant.
std::optional<std::string> template_text(const nlohmann::json& config) {
  const auto entry = config.find("chat_template");
  if (entry == config.end()) return std::nullopt;
  if (entry->is_string()) return entry->get<std::string>();
  if (!entry->is_array()) return std::nullopt;
  for (const auto& named : *entry) {
    if (named.at("name") == "default") return named.at("template").get<std::string>();
  }
  return std::nullopt;
}

void take(const nlohmann::json& json, TokenizerConfig& config) {
  config.bos_token = token_text(json, "bos_token");
  config.eos_token = token_text(json, "eos_token");
  if (const auto add = json.find("add_bos_token"); add != json.end() && add->is_boolean())
    config.add_bos_token = add->get<bool>();
  config.chat_template = template_text(json);
}

}  // namespace

TokenizerConfig read_tokenizer_config(const std::filesystem::path& folder) {
  TokenizerConfig config;
  const auto path = folder / "tokenizer_config.json";
  if (std::filesystem::exists(path)) {
    const nlohmann::json json = io::read_json(path);
    io::with_json_errors(path.string(), [&] { take(json, config); });
    config.chat_template_file = path;
  }
  const auto jinja = folder / "chat_template.jinja";
  if (std::filesystem::exists(jinja)) {
    config.chat_template = io::read_file(jinja);
    config.chat_template_file = jinja;
  }
  return config;
}

}  // namespace grpo::tokenizer
