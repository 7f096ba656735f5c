// Conversations of a problem file go through the template whole: from the file to the token ids of the published
// template.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "grpo/io/json.h"
#include "grpo/trainer/policy.h"
#include "support/golden.h"

namespace grpo::trainer {
namespace {

using Json = nlohmann::json;

bool has_ids(const Json& row) { return row.contains("tokenizer") && !row.at("tokenizer").is_null(); }
std::string tokenizer_of(const Json& row) { return has_ids(row) ? row.at("tokenizer").get<std::string>() : "qwen2.5"; }

// The golden prompts that end in the opening of the assistant's turn, by template and tokenizer.
std::map<std::pair<std::string, std::string>, std::vector<Json>> prompts_that_begin_a_turn() {
  std::map<std::pair<std::string, std::string>, std::vector<Json>> rows;
  for (const auto& row : testing::read_jsonl(testing::golden_section("chat") / "cases.jsonl")) {
    const bool asks = row.at("messages").back().at("role") == "user";
    if (row.at("add_generation_prompt") && row.at("variables").empty() && asks)
      rows[{row.at("template"), tokenizer_of(row)}].push_back(row);
  }
  return rows;
}

std::vector<Prompt> prompts_of(const std::vector<Json>& rows, const std::string& file) {
  {
    io::JsonlWriter writer(file);
    for (const auto& row : rows) writer.write(Json{{"problem", row.at("messages")}, {"answer", "1"}});
  }
  const auto tokenizer = testing::golden_section("tokenizers") / tokenizer_of(rows[0]);
  const Policy policy{
      .folder = {},
      .model = {},
      .tokenizer = tokenizer::Tokenizer::load(tokenizer),
      .chat_template = tokenizer::ChatTemplate::resolve({.text = rows[0].at("template"), .map = {}}, ""),
      .stop_ids = {}};
  int64_t dropped = 0;
  // As transformers tokenize: some texts hold <|im_end|>, which data.allow_special_tokens: false reads as plain text.
  return make_prompts(policy, data::load_problems({file}, "problem", "answer"), 100000, &dropped,
                      {.allow_special_tokens = true});
}

TEST(ChatPrompts, AreThoseOfThePublishedTemplatesWithSystemAndEarlierTurns) {
  const testing::TempDir dir;
  std::map<size_t, int> seen;  // by number of messages
  for (const auto& [names, rows] : prompts_that_begin_a_turn()) {
    const auto prompts = prompts_of(rows, (dir.path() / "a.jsonl").string());
    ASSERT_EQ(prompts.size(), rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(prompts[i].text, rows[i].at("expected")) << rows[i].at("id");
      if (has_ids(rows[i])) {
        EXPECT_EQ(prompts[i].ids, rows[i].at("ids").get<std::vector<int64_t>>()) << rows[i].at("id");
      }
      ++seen[rows[i].at("messages").size()];
    }
  }
  EXPECT_GE(seen[4], 3);  // system, user, assistant, user
  EXPECT_GE(seen[3], 3);
}

}  // namespace
}  // namespace grpo::trainer
