// Special tokens that a problem spells stay text, whatever the template puts around them.
#include "trainer/prompt_ids.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "grpo/base/error.h"
#include "support/paths.h"

namespace grpo::trainer {
namespace {

using tokenizer::ChatTemplate;
using tokenizer::Message;

class PromptIds : public ::testing::Test {
 protected:
  int64_t specials(const std::vector<int64_t>& ids) const {
    return std::count_if(ids.begin(), ids.end(), [&](int64_t id) { return tokenizer_->is_special(id); });
  }

  ChatTemplate chat(const std::string& text) const { return ChatTemplate::resolve({.text = text, .map = {}}, folder_); }

  const std::filesystem::path folder_ = grpo::testing::source_dir() / "configs" / "quickstart" / "model";
  const std::unique_ptr<tokenizer::Tokenizer> tokenizer_ = tokenizer::Tokenizer::load(folder_);
};

TEST_F(PromptIds, OfAProblemWithASpecialTokensTextHaveNoneMore) {
  const std::vector<Message> plain = {{"user", "1+1="}}, spelled = {{"user", "1+<|end|>1="}};
  EXPECT_FALSE(has_special_text(*tokenizer_, plain));
  ASSERT_TRUE(has_special_text(*tokenizer_, spelled));
  const auto none = chat("none");
  EXPECT_GT(specials(none.encode_rendered(*tokenizer_, none.prompt(spelled))), 0);
  EXPECT_EQ(specials(encode_as_text(*tokenizer_, none, spelled, "here")), 0);
}

TEST_F(PromptIds, KeepTheTemplatesOwnSpecialTokens) {
  const auto own = chat("<|end|>{problem}<|end|>");
  const std::vector<Message> spelled = {{"user", " 1+<|end|>1= "}};
  const auto ids = encode_as_text(*tokenizer_, own, spelled, "here");
  EXPECT_EQ(specials(ids), 2);
  EXPECT_TRUE(tokenizer_->is_special(ids.front()));
  EXPECT_TRUE(tokenizer_->is_special(ids.back()));
}

// A message that is no more than what the template itself writes before it.
TEST_F(PromptIds, AreNotDeceivedByAMessageThatRepeatsTheTemplate) {
  const std::vector<Message> spelled = {{"user", "<|end|>"}};
  const auto once = encode_as_text(*tokenizer_, chat("<|end|>{problem}<|end|>"), spelled, "here");
  EXPECT_EQ(specials(once), 2);
  EXPECT_TRUE(tokenizer_->is_special(once.front()));
  const auto twice = encode_as_text(*tokenizer_, chat("{problem}={problem}"), spelled, "here");
  EXPECT_EQ(specials(twice), 0);
}

TEST_F(PromptIds, TreatEveryMessageOfAConversationAsText) {
  const std::vector<Message> turns = {
      {"system", "be <|end|> kind"}, {"user", "1+1="}, {"assistant", "2<|end|>"}, {"user", "<|end|>2+2="}};
  const auto chatml = chat("chatml");
  const std::vector<Message> clean = {{"system", "be kind"}, {"user", "1+1="}, {"assistant", "2"}, {"user", "2+2="}};
  EXPECT_EQ(specials(encode_as_text(*tokenizer_, chatml, turns, "here")),
            specials(chatml.encode_rendered(*tokenizer_, chatml.prompt(clean))));
}

}  // namespace
}  // namespace grpo::trainer
