#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "grpo/tokenizer/tokenizer.h"

namespace grpo::testing {

/// A tokenizer.json of a BPE model whose vocabulary is `tokens` in order (ids 0, 1, ...) and nothing around it.
nlohmann::json small_tokenizer_json(const std::vector<std::string>& tokens, const std::vector<std::string>& merges);

/// One more entry of "added_tokens".
void add_token(nlohmann::json& tokenizer, const std::string& content, const nlohmann::json& properties);

/// Writes it to a fresh folder and loads that.
std::unique_ptr<tokenizer::Tokenizer> load_tokenizer(const nlohmann::json& json);

using Ids = std::vector<int64_t>;

}  // namespace grpo::testing
