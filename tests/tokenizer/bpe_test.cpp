#include "tokenizer/bpe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>

#include "tokenizer/small_tokenizer.h"

namespace grpo::tokenizer {
namespace {

using testing::Ids;

Bpe model_of(const nlohmann::json& json) {
  TokenizerFile file = parse_tokenizer_json(json.dump());
  return Bpe(file);
}

Ids encoded(const Bpe& model, std::string_view piece) {
  Ids ids;
  model.encode(piece, ids);
  return ids;
}

const std::vector<std::string> kTokens = {"a", "b", "c", "ab", "bc", "abc", "aa", "aaaa"};

TEST(Bpe, MergesTheLowestRankFirstAndThenTheLeftmost) {
  const Bpe model = model_of(testing::small_tokenizer_json(kTokens, {"b c", "a b", "a bc", "a a", "aa aa"}));
  EXPECT_EQ(encoded(model, "abc"), (Ids{5}));  // bc before ab
  EXPECT_EQ(encoded(model, "abb"), (Ids{3, 1}));
  EXPECT_EQ(encoded(model, "aaa"), (Ids{6, 0}));
  EXPECT_EQ(encoded(model, ""), Ids{});
}

/// The definition, applied with no data structure at all.
Ids merged_naively(std::vector<std::string> tokens, const std::vector<std::string>& merges) {
  for (;;) {
    size_t best_rank = merges.size(), best = 0;
    for (size_t i = 0; i + 1 < tokens.size(); ++i) {
      const size_t rank = std::find(merges.begin(), merges.end(), tokens[i] + " " + tokens[i + 1]) - merges.begin();
      if (rank < best_rank) best_rank = rank, best = i;
    }
    if (best_rank == merges.size()) break;
    tokens[best] += tokens[best + 1];
    tokens.erase(tokens.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
  Ids ids;
  for (const auto& token : tokens) ids.push_back(std::find(kTokens.begin(), kTokens.end(), token) - kTokens.begin());
  return ids;
}

TEST(Bpe, EqualsItsDefinitionOnShortAndLongPieces) {
  const std::vector<std::string> merges = {"b c", "a b", "a a", "a bc", "ab c", "aa aa"};
  const Bpe model = model_of(testing::small_tokenizer_json(kTokens, merges));
  std::mt19937 random(7);
  for (size_t length = 1; length < 120; ++length) {
    std::string piece;
    std::vector<std::string> letters;
    for (size_t i = 0; i < length; ++i) {
      piece += "abc"[random() % 3];
      letters.push_back(piece.substr(i));
    }
    EXPECT_EQ(encoded(model, piece), merged_naively(letters, merges)) << piece;
  }
}

TEST(Bpe, EncodesAMillionEqualLettersInSeconds) {
  const Bpe model = model_of(testing::small_tokenizer_json(kTokens, {"a a", "aa aa"}));
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(encoded(model, std::string(1'000'000, 'a')), Ids(250'000, 7));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::minutes(1));  // hours where every merge reads all
}

TEST(Bpe, ReadsBothFormatsOfMerges) {
  auto json = testing::small_tokenizer_json({"a", " ", "a "}, {});
  json["model"]["merges"] = nlohmann::json::array({nlohmann::json::array({"a", " "})});
  EXPECT_EQ(encoded(model_of(json), "a "), (Ids{2}));
  json = testing::small_tokenizer_json(kTokens, {"#version: 0.2", "a b"});
  EXPECT_EQ(encoded(model_of(json), "ab"), (Ids{3}));
}

TEST(Bpe, TakesAWholePieceFromTheVocabularyWhenItIgnoresMerges) {
  auto json = testing::small_tokenizer_json(kTokens, {"a b"});
  json["model"]["ignore_merges"] = true;
  EXPECT_EQ(encoded(model_of(json), "abc"), (Ids{5}));
  EXPECT_EQ(encoded(model_of(json), "abcc"), (Ids{3, 2, 2}));
}

TEST(Bpe, FallsBackToBytesThenToTheUnknownTokenThenToNothing) {
  auto json = testing::small_tokenizer_json({"a", "<unk>", "<0xC3>", "<0xA9>"}, {});
  EXPECT_EQ(encoded(model_of(json), "a\u00e9a"), (Ids{0, 0}));
  json["model"]["unk_token"] = "<unk>";
  EXPECT_EQ(encoded(model_of(json), "a\u00e9\u00e8"), (Ids{0, 1, 1}));
  json["model"]["fuse_unk"] = true;
  EXPECT_EQ(encoded(model_of(json), "a\u00e9\u00e8"), (Ids{0, 1}));
  json["model"]["byte_fallback"] = true;
  EXPECT_EQ(encoded(model_of(json), "a\u00e9\u00e8"), (Ids{0, 2, 3, 1}));
}

TEST(Bpe, WritesWordPartsWithPrefixAndSuffix) {
  auto json = testing::small_tokenizer_json({"a", "##b", "##b</w>", "ab</w>"}, {"a ##b</w>"});
  json["model"]["continuing_subword_prefix"] = "##";
  json["model"]["end_of_word_suffix"] = "</w>";
  EXPECT_EQ(encoded(model_of(json), "ab"), (Ids{3}));
  EXPECT_EQ(encoded(model_of(json), "abb"), (Ids{0, 1, 2}));
  json["model"]["byte_fallback"] = true;
  for (const char* byte : {"<0x23>", "<0x3C>", "<0x2F>", "<0x77>", "<0x3E>", "<0x63>"}) {
    auto& vocabulary = json["model"]["vocab"];
    vocabulary[byte] = vocabulary.size();
  }
  EXPECT_EQ(encoded(model_of(json), "ac"), (Ids{0, 4, 4, 9, 5, 6, 7, 8}));  // the bytes of "##c</w>"
}

}  // namespace
}  // namespace grpo::tokenizer
