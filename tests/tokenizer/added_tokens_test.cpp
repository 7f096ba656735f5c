#include "tokenizer/added_tokens.h"

#include <gtest/gtest.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "tokenizer/hf_tokenizer.h"
#include "tokenizer/small_tokenizer.h"

namespace grpo::tokenizer {
namespace {

using testing::Ids;
using Json = nlohmann::json;

/// Letters a, b, c and the space are ids 0 to 3; added tokens follow from 4.
Json letters() { return testing::small_tokenizer_json({"a", "b", "c", " "}, {}); }

TEST(AddedTokens, AreFoundLeftmostAndLongestFirst) {
  Json json = letters();
  testing::add_token(json, "ab", Json::object());
  testing::add_token(json, "abc", Json::object());
  testing::add_token(json, "bca", Json::object());
  EXPECT_EQ(testing::load_tokenizer(json)->encode("abca"), (Ids{5, 0}));
  EXPECT_EQ(testing::load_tokenizer(json)->encode("bcab"), (Ids{6, 1}));
}

// A million of them are read in seconds; texts cost no more for it.
TEST(AddedTokens, MayBeAMillion) {
  std::string tokens;
  for (int i = 0; i < 1'000'000; ++i)
    tokens += (i == 0 ? "" : ",") + std::string(R"({"id":)") + std::to_string(4 + i) + R"(,"content":"<x)" +
              std::to_string(i) + R"(>"})";
  std::string json = letters().dump();
  const std::string empty = "\"added_tokens\":[]";
  ASSERT_NE(json.find(empty), std::string::npos) << json;
  json.replace(json.find(empty), empty.size(), "\"added_tokens\":[" + tokens + "]");
  const std::clock_t before = std::clock();
  const HfTokenizer tokenizer(json);
  EXPECT_EQ(tokenizer.encode("a<x999999>b", true), (Ids{0, 1'000'003, 1}));
  EXPECT_LT((std::clock() - before) / CLOCKS_PER_SEC, 60)
      << "seconds of processor time; 8 on the machine this was written on";
}

// Each place of a text is compared with as many bytes as a token has.
TEST(AddedTokens, AreShort) {
  Json json = letters();
  testing::add_token(json, std::string(5000, 'a'), Json::object());
  try {
    testing::load_tokenizer(json);
    FAIL();
  } catch (const base::IoError& error) {
    EXPECT_NE(std::string(error.what()).find("a token of 5000 bytes; at most 4096"), std::string::npos) << error.what();
  }
}

TEST(AddedTokens, TakeWhiteSpaceAlongOnTheStrippedSides) {
  Json json = letters();
  testing::add_token(json, "<l>", {{"lstrip", true}});
  testing::add_token(json, "<r>", {{"rstrip", true}});
  EXPECT_EQ(testing::load_tokenizer(json)->encode("a <l> <r> b"), (Ids{0, 4, 3, 5, 1}));
  testing::add_token(json, "\n", {{"lstrip", true}});
  EXPECT_EQ(testing::load_tokenizer(json)->encode("a<r>\nb \nb"), (Ids{0, 5, 1, 6, 1}));  // the first is part of <r>
}

TEST(AddedTokens, StandForWholeWordsOnly) {
  Json json = letters();
  testing::add_token(json, "b", {{"single_word", true}, {"normalized", false}});
  json["model"]["vocab"].erase("b");
  json["model"]["vocab"]["_"] = 1;
  EXPECT_EQ(testing::load_tokenizer(json)->encode("ab b bc"), (Ids{0, 3, 4, 3, 2}));
  EXPECT_EQ(testing::load_tokenizer(json)->encode("b\u200dc"), (Ids{2}));  // a joiner belongs to a word
}

TEST(AddedTokens, AreLookedForBeforeOrAfterNormalisation) {
  Json json = letters();
  json["normalizer"] = {{"type", "Lowercase"}};
  testing::add_token(json, "AB", {{"normalized", false}});
  testing::add_token(json, "BC", {{"normalized", true}});
  const auto tokenizer = testing::load_tokenizer(json);
  EXPECT_EQ(tokenizer->encode("ABc"), (Ids{4, 2}));
  EXPECT_EQ(tokenizer->encode("abc"), (Ids{0, 5}));
  EXPECT_EQ(tokenizer->decode(Ids{4, 5}), "ABbc");
}

TEST(AddedTokens, AreTextWhenSpecialAndNotParsed) {
  Json json = letters();
  testing::add_token(json, "ab", {{"special", true}});
  testing::add_token(json, "bc", Json::object());
  const auto tokenizer = testing::load_tokenizer(json);
  EXPECT_EQ(tokenizer->encode("ab bc"), (Ids{4, 3, 5}));
  EXPECT_EQ(tokenizer->encode("ab bc", false), (Ids{0, 1, 3, 5}));
  EXPECT_EQ(tokenizer->encode("abc", false), (Ids{0, 1, 2}));  // the refused match hides what overlaps it
  EXPECT_EQ(tokenizer->decode(Ids{4, 3, 5}, true), " bc");
  EXPECT_TRUE(tokenizer->is_special(4));
  EXPECT_FALSE(tokenizer->is_special(5));
}

TEST(AddedTokens, KeepTheirVocabularysId) {
  Json json = letters();
  testing::add_token(json, "b", {{"special", true}, {"id", 99}});
  testing::add_token(json, "new", {{"id", 77}});
  const auto tokenizer = testing::load_tokenizer(json);
  EXPECT_EQ(tokenizer->encode("b"), (Ids{1}));
  EXPECT_EQ(tokenizer->token_id("new"), 4);
  EXPECT_EQ(tokenizer->vocab_size(), 5);
}

}  // namespace
}  // namespace grpo::tokenizer
