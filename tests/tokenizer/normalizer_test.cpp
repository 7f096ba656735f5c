#include "tokenizer/normalizer.h"

#include <gmock/gmock.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"

namespace grpo::tokenizer {
namespace {

using Json = nlohmann::json;

std::string normalized(const Json& config, const std::string& text) { return make_normalizer(config)->apply(text); }

TEST(UnicodeForm, ComposesAndDecomposes) {
  EXPECT_EQ(normalized({{"type", "NFC"}}, "e\u0301 \u1100\u1161\u11a8"), "\u00e9 \uac01");
  EXPECT_EQ(normalized({{"type", "NFD"}}, "\u00e9\uac01"), "e\u0301\u1100\u1161\u11a8");
  EXPECT_EQ(normalized({{"type", "NFKC"}}, "\ufb01\u2460\uff21"), "fi1A");
  EXPECT_EQ(normalized({{"type", "NFKD"}}, "\u00bd\u00e9"), "1\u20442e\u0301");
}

TEST(UnicodeForm, OrdersCombiningMarks) {
  EXPECT_EQ(normalized({{"type", "NFC"}}, "a\u0301\u0323"), "\u1ea1\u0301");
  EXPECT_EQ(normalized({{"type", "NFD"}}, "a\u0301\u0323"), "a\u0323\u0301");
}

TEST(UnicodeForm, LeavesCharactersNewerThanItsTablesAlone) {
  EXPECT_EQ(normalized({{"type", "NFC"}}, "\U00011935\U00011930"),
            "\U00011935\U00011930");                                         // would compose in Unicode 13
  EXPECT_EQ(normalized({{"type", "NFD"}}, "\u0952\u0d3c"), "\u0952\u0d3c");  // would reorder in Unicode 10
}

TEST(UnicodeForm, IsNotQuadraticInARunOfMarks) {
  std::string text = "a";
  for (int i = 0; i < 200'000; ++i) text += "\u0301\u0323";
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(normalized({{"type", "NFD"}}, text).substr(0, 5), "a\u0323\u0323");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(Normalizer, PrependsOnlyToText) {
  const Json config = {{"type", "Prepend"}, {"prepend", "_"}};
  EXPECT_EQ(normalized(config, "a"), "_a");
  EXPECT_EQ(normalized(config, ""), "");
}

TEST(Normalizer, ReplacesTextsAndPatterns) {
  EXPECT_EQ(normalized({{"type", "Replace"}, {"pattern", {{"String", "."}}}, {"content", "__"}}, "a.b."), "a__b__");
  EXPECT_EQ(normalized({{"type", "Replace"}, {"pattern", {{"Regex", "\\s+"}}}, {"content", "-"}}, "a  b\n"), "a-b-");
}

TEST(Normalizer, RunsASequenceInOrder) {
  const Json config = {{"type", "Sequence"},
                       {"normalizers",
                        {{{"type", "Strip"}, {"strip_left", true}, {"strip_right", false}},
                         {{"type", "Lowercase"}},
                         {{"type", "Prepend"}, {"prepend", "A"}}}}};
  EXPECT_EQ(normalized(config, " \u00a0B "), "Ab ");
}

TEST(Normalizer, NamesATypeItDoesNotKnow) {
  EXPECT_THAT(
      [] {
        make_normalizer({{"type", "Nmt"}});
      },
      ::testing::ThrowsMessage<base::IoError>(::testing::HasSubstr("normalizer of type Nmt")));
  EXPECT_EQ(make_normalizer(nullptr), nullptr);
}

}  // namespace
}  // namespace grpo::tokenizer
