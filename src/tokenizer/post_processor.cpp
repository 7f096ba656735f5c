#include "tokenizer/post_processor.h"

#include <nlohmann/json.hpp>

#include "tokenizer/component.h"

namespace grpo::tokenizer {
namespace {

SpecialAffixes template_affixes(const nlohmann::json& config) {
  SpecialAffixes affixes;
  std::vector<int64_t>* side = &affixes.prefix;
  for (const auto& part : config.at("single")) {
    if (part.contains("Sequence")) {
      side = &affixes.suffix;
      continue;
    }
    const auto name = part.at("SpecialToken").at("id").get<std::string>();
    const auto ids = config.at("special_tokens").at(name).at("ids").get<std::vector<int64_t>>();
    side->insert(side->end(), ids.begin(), ids.end());
  }
  return affixes;
}

}  // namespace

SpecialAffixes special_affixes(const nlohmann::json& config) {
  if (config.is_null()) return {};
  const std::string type = component_type(config);
  if (type == "ByteLevel") return {};
  if (type == "TemplateProcessing") return template_affixes(config);
  if (type != "Sequence") unsupported_component("post_processor", type);
  SpecialAffixes all;
  for (const auto& step : config.at("processors")) {
    // Each step wraps what the one before it made.
    const SpecialAffixes outer = special_affixes(step);
    all.prefix.insert(all.prefix.begin(), outer.prefix.begin(), outer.prefix.end());
    all.suffix.insert(all.suffix.end(), outer.suffix.begin(), outer.suffix.end());
  }
  return all;
}

}  // namespace grpo::tokenizer
