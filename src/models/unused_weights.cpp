#include "models/unused_weights.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/base/text.h"

namespace grpo::models {
namespace {

constexpr size_t kListed = 5;
constexpr const char* kHead = "lm_head.weight";

// Heads of sequence classifiers, reward and value models. They read the same hidden states as a language
// model's head and do not influence it.
constexpr std::array<std::string_view, 6> kOtherHeads = {"score.",       "v_head.",     "value_head.",
                                                         "reward_head.", "classifier.", "qa_outputs."};

bool says_nothing(const std::string& name, const io::Safetensors& stored, const ModelConfig& config) {
  if (name.ends_with("rotary_emb.inv_freq")) return true;  // computed from config.json
  if (name != kHead || !config.tied_embeddings) return false;
  const auto& head = stored.at(name);
  const auto& embedding = stored.at("model.embed_tokens.weight");
  return head.dtype == embedding.dtype &&
         std::equal(head.bytes.begin(), head.bytes.end(), embedding.bytes.begin(), embedding.bytes.end());
}

bool is_other_head(const std::string& name) {
  return std::any_of(kOtherHeads.begin(), kOtherHeads.end(),
                     [&](std::string_view head) { return name.starts_with(head); });
}

std::string listed(std::vector<std::string> names) {
  const size_t count = names.size();
  names.resize(std::min(count, kListed));
  return base::join(names, ", ") + (count > kListed ? base::concat(" and ", count - kListed, " more") : "");
}

std::string likely_cause(const std::vector<std::string>& names) {
  const auto any = [&](std::string_view part) {
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& name) { return name.find(part) != std::string::npos; });
  };
  if (any("lora_")) return "an adapter that was not merged: merge it into the model and save that";
  if (any(kHead))
    return "the head is another matrix than the embedding: set tie_word_embeddings to false in config.json";
  return "config.json belongs to another model, or to another kind of it (num_hidden_layers, attention_bias, mlp_bias, "
         "model_type)";
}

}  // namespace

void check_unused_weights(const std::filesystem::path& folder, const io::Safetensors& stored,
                          const std::set<std::string>& used, const ModelConfig& config) {
  std::vector<std::string> lost;
  std::vector<std::string> heads;
  for (const auto& [name, tensor] : stored.tensors()) {
    if (used.contains(name) || says_nothing(name, stored, config)) continue;
    (is_other_head(name) ? heads : lost).push_back(name);
  }
  if (!lost.empty()) {
    throw base::IoError(
        base::concat(folder.string(), ": ", lost.size(), lost.size() == 1 ? " tensor is" : " tensors are",
                     " not used by the model that config.json describes: ", listed(lost), "; ", likely_cause(lost)));
  }
  if (!heads.empty()) {
    base::log_warning(base::concat(folder.string(), ": not used, and not exported: the tensors ", listed(heads),
                                   ", a head of another task than predicting the next token"));
  }
}

}  // namespace grpo::models
