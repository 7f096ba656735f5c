#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "grpo/io/file.h"
#include "grpo/io/json.h"
#include "grpo/tokenizer/chat_template.h"
#include "support/golden.h"
#include "tokenizer/chat_recognition.h"

namespace grpo::tokenizer {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::vector<Json> cases() { return testing::read_jsonl(testing::golden_section("chat") / "cases.jsonl"); }

ChatOptions options_of(const Json& row) {
  ChatOptions options;
  options.add_generation_prompt = row.at("add_generation_prompt");
  const Json& variables = row.at("variables");
  if (variables.contains("bos_token")) options.bos_token = variables.at("bos_token").get<std::string>();
  if (variables.contains("date_string")) options.date_string = variables.at("date_string").get<std::string>();
  if (variables.contains("enable_thinking")) options.enable_thinking = variables.at("enable_thinking").get<bool>();
  return options;
}

std::vector<Message> messages_of(const Json& row) {
  std::vector<Message> messages;
  for (const auto& message : row.at("messages")) messages.push_back({message.at("role"), message.at("content")});
  return messages;
}

std::string rendered(const Json& row) {
  const auto chat = ChatTemplate::resolve({.text = row.at("template"), .map = {}}, "");
  return chat.render(messages_of(row), options_of(row));
}

TEST(GoldenChat, RendersEveryConversationAsPublished) {
  for (const auto& row : cases()) EXPECT_EQ(rendered(row), row.at("expected")) << row.at("id");
}

TEST(GoldenChat, EncodesPromptsToTheReferenceIds) {
  std::map<std::string, std::unique_ptr<Tokenizer>> tokenizers;
  size_t count = 0;
  for (const auto& row : cases()) {
    if (!row.contains("tokenizer") || row.at("tokenizer").is_null()) continue;
    auto& tokenizer = tokenizers[row.at("tokenizer")];
    if (tokenizer == nullptr) {
      tokenizer = Tokenizer::load(testing::golden_section("tokenizers") / row.at("tokenizer").get<std::string>());
    }
    EXPECT_EQ(tokenizer->encode(rendered(row)), row.at("ids").get<std::vector<int64_t>>()) << row.at("id");
    ++count;
  }
  EXPECT_GT(count, 0u);
}

/// The published texts are not part of the repository; a golden folder that has them is checked.
TEST(GoldenChat, RecognisesThePublishedTexts) {
  const fs::path texts = testing::golden_section("chat") / "templates";
  if (!fs::is_directory(texts)) GTEST_SKIP() << texts << " is not there";
  for (const auto& entry : fs::directory_iterator(texts)) {
    const testing::TempDir model;
    const std::string name = entry.path().stem().string();
    const std::string jinja = io::read_file(entry.path());
    io::write_json(model.path() / "tokenizer_config.json", {{"chat_template", jinja}});
    const auto chat = ChatTemplate::resolve({.text = "auto", .map = {}}, model.path());
    EXPECT_EQ(chat.name(), name);
    EXPECT_EQ(closest_chat_family(jinja).name, name);
  }
}

}  // namespace
}  // namespace grpo::tokenizer
