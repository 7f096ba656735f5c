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

// The golden prompts that end in the opening of the assistant's turn, as a row of a problem file would have them.
std::vector<Json> prompts_that_begin_a_turn() {
  std::vector<Json> rows;
  for (const auto& row : testing::read_jsonl(testing::golden_section("chat") / "cases.jsonl")) {
    const bool asks = row.at("messages").back().at("role") == "user";
    if (row.at("add_generation_prompt") && row.at("variables").empty() && asks) rows.push_back(row);
  }
  return rows;
}

std::vector<Prompt> prompts_of(const Json& row, const std::string& file) {
  io::JsonlWriter(file).write(Json{{"problem", row.at("messages")}, {"answer", "1"}});
  const bool has_ids = row.contains("tokenizer") && !row.at("tokenizer").is_null();
  const std::string tokenizer = has_ids ? row.at("tokenizer").get<std::string>() : "qwen2.5";
  const Policy policy{.folder = {},
                      .model = {},
                      .tokenizer = tokenizer::Tokenizer::load(testing::golden_section("tokenizers") / tokenizer),
                      .chat_template = tokenizer::ChatTemplate::resolve({.text = row.at("template"), .map = {}}, ""),
                      .stop_ids = {}};
  int64_t dropped = 0;
  return make_prompts(policy, data::load_problems({file}, "problem", "answer"), 100000, &dropped);
}

TEST(ChatPrompts, AreThoseOfThePublishedTemplatesWithSystemAndEarlierTurns) {
  const testing::TempDir dir;
  std::map<size_t, int> seen;  // by number of messages
  for (const auto& row : prompts_that_begin_a_turn()) {
    if (row.at("messages").size() < 3 && seen[row.at("messages").size()] >= 6)
      continue;  // a tokenizer is loaded for each
    const auto prompts = prompts_of(row, (dir.path() / "a.jsonl").string());
    ASSERT_EQ(prompts.size(), 1U);
    EXPECT_EQ(prompts[0].text, row.at("expected")) << row.at("id");
    if (row.contains("tokenizer") && !row.at("tokenizer").is_null()) {
      EXPECT_EQ(prompts[0].ids, row.at("ids").get<std::vector<int64_t>>()) << row.at("id");
    }
    ++seen[row.at("messages").size()];
  }
  EXPECT_GE(seen[4], 3);  // system, user, assistant, user
  EXPECT_GE(seen[3], 3);
}

}  // namespace
}  // namespace grpo::trainer
