#include "tokenizer/pre_tokenizer.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"

namespace grpo::tokenizer {
namespace {

using ::testing::ElementsAre;
using Json = nlohmann::json;

std::vector<std::string> pieces(const Json& config, const std::string& text, bool starts_input = true) {
  Pieces all{text, {{0, text.size()}}, starts_input};
  make_pre_tokenizer(config)->apply(all);
  std::vector<std::string> texts;
  for (const auto& range : all.ranges) texts.emplace_back(all.piece(range));
  return texts;
}

Json split(const char* behavior, bool invert = false) {
  return {{"type", "Split"}, {"pattern", {{"String", "-"}}}, {"behavior", behavior}, {"invert", invert}};
}

TEST(SplitBehavior, DecidesWhereTheMatchGoes) {
  const std::string text = "the-final--countdown";
  EXPECT_THAT(pieces(split("Removed"), text), ElementsAre("the", "final", "countdown"));
  EXPECT_THAT(pieces(split("Isolated"), text), ElementsAre("the", "-", "final", "-", "-", "countdown"));
  EXPECT_THAT(pieces(split("MergedWithPrevious"), text), ElementsAre("the-", "final-", "-", "countdown"));
  EXPECT_THAT(pieces(split("MergedWithNext"), text), ElementsAre("the", "-final", "-", "-countdown"));
  EXPECT_THAT(pieces(split("Contiguous"), text), ElementsAre("the", "-", "final", "--", "countdown"));
}

TEST(SplitBehavior, CanBeInverted) {
  EXPECT_THAT(pieces(split("Removed", true), "a-b--c"), ElementsAre("-", "-", "-"));
}

TEST(Digits, StandAloneOrInRuns) {
  EXPECT_THAT(pieces({{"type", "Digits"}, {"individual_digits", true}}, "a12\u0663"),
              ElementsAre("a", "1", "2", "\u0663"));
  EXPECT_THAT(pieces({{"type", "Digits"}, {"individual_digits", false}}, "a12b"), ElementsAre("a", "12", "b"));
}

TEST(ByteLevelPreTokenizer, WritesBytesAsVisibleCharacters) {
  const Json plain = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  EXPECT_THAT(pieces(plain, "a \n\u00e9"), ElementsAre("a\u0120\u010a\u00c3\u00a9"));
  const Json gpt2 = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"use_regex", true}};
  EXPECT_THAT(pieces(gpt2, "we're  ok"), ElementsAre("\u0120we", "'re", "\u0120", "\u0120ok"));
}

TEST(Metaspace, MarksTheStartsOfWords) {
  Json config = {{"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "first"}, {"split", true}};
  EXPECT_THAT(pieces(config, "a b"), ElementsAre("\u2581a", "\u2581b"));
  EXPECT_THAT(pieces(config, "a b", false), ElementsAre("a", "\u2581b"));
  const Json split_first = {{"type", "Sequence"}, {"pretokenizers", {{{"type", "WhitespaceSplit"}}, config}}};
  EXPECT_THAT(pieces(split_first, "a b"), ElementsAre("\u2581a", "b"));
  EXPECT_THAT(pieces(split_first, " a b"), ElementsAre("a", "b"));  // what begins the input was dropped
  config["split"] = false;
  config["prepend_scheme"] = "never";
  EXPECT_THAT(pieces(config, "a b"), ElementsAre("a\u2581b"));
}

TEST(Whitespace, SplitsAtWordsAndSigns) {
  EXPECT_THAT(pieces({{"type", "Whitespace"}}, "a_1!? b\u200dc"), ElementsAre("a_1", "!?", "b\u200dc"));
}

TEST(PreTokenizer, RefinesPiecesStepByStep) {
  const Json config = {{"type", "Sequence"}, {"pretokenizers", {{{"type", "WhitespaceSplit"}}, split("Isolated")}}};
  EXPECT_THAT(pieces(config, "a-b c"), ElementsAre("a", "-", "b", "c"));
}

TEST(PreTokenizer, NamesATypeItDoesNotKnow) {
  EXPECT_THAT(
      [] {
        make_pre_tokenizer({{"type", "UnicodeScripts"}});
      },
      ::testing::ThrowsMessage<base::IoError>(::testing::HasSubstr("pre_tokenizer of type UnicodeScripts")));
}

}  // namespace
}  // namespace grpo::tokenizer
