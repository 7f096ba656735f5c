#include "tokenizer/small_tokenizer.h"

#include <nlohmann/json.hpp>

#include "grpo/io/json.h"
#include "support/golden.h"

namespace grpo::testing {

nlohmann::json small_tokenizer_json(const std::vector<std::string>& tokens, const std::vector<std::string>& merges) {
  nlohmann::json vocabulary = nlohmann::json::object();
  for (size_t id = 0; id < tokens.size(); ++id) vocabulary[tokens[id]] = id;
  return {{"version", "1.0"},
          {"added_tokens", nlohmann::json::array()},
          {"normalizer", nullptr},
          {"pre_tokenizer", nullptr},
          {"post_processor", nullptr},
          {"decoder", {{"type", "Fuse"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", merges}}}};
}

void add_token(nlohmann::json& tokenizer, const std::string& content, const nlohmann::json& properties) {
  auto& tokens = tokenizer["added_tokens"];
  nlohmann::json token = {{"id", tokenizer["model"]["vocab"].size() + tokens.size()},
                          {"content", content},
                          {"single_word", false},
                          {"lstrip", false},
                          {"rstrip", false},
                          {"normalized", false},
                          {"special", false}};
  token.update(properties);
  tokens.push_back(token);
}

std::unique_ptr<tokenizer::Tokenizer> load_tokenizer(const nlohmann::json& json) {
  const TempDir folder;
  io::write_json(folder.path() / "tokenizer.json", json);
  return tokenizer::Tokenizer::load(folder.path());
}

}  // namespace grpo::testing
