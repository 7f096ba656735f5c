#include "tokenizer/regex.h"

#include <gmock/gmock.h>

#include "grpo/base/error.h"

namespace grpo::tokenizer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

std::vector<std::string> matches(const char* pattern, std::string_view text) {
  std::vector<TextRange> ranges;
  Regex(pattern).find_all(text, ranges);
  std::vector<std::string> texts;
  for (const auto& range : ranges) texts.emplace_back(text.substr(range.begin, range.size()));
  return texts;
}

TEST(Regex, GivesUpAPatternThatBacktracksWithoutEnd) {
  std::vector<TextRange> matches;
  EXPECT_THROW(Regex("(3+)+$").find_all(std::string(64, '3') + "x", matches), base::IoError);
}

TEST(Regex, SplitsContractionsWithoutRegardToCase) {
  EXPECT_THAT(matches(R"((?i:'s|'t|'ll)|\p{L}+)", "it's IT'S we'LL a'\u017f"),
              ElementsAre("it", "'s", "IT", "'S", "we", "'LL", "a", "'\u017f"));  // U+017F folds to s
}

TEST(Regex, KnowsCharactersNewerThanTheSystemLibrary) {
  EXPECT_THAT(matches(R"(\p{L}+)", "a\U00010d50 \U00011390"), ElementsAre("a\U00010d50", "\U00011390"));
  EXPECT_THAT(matches(R"(\p{N})", "\U00010d40"), ElementsAre("\U00010d40"));
  EXPECT_THAT(matches(R"([^\s\p{L}\p{N}]+)", "!\U00010d40\U00010d50?"), ElementsAre("!", "?"));
  EXPECT_THAT(matches(R"(\P{L}+)", "\U00010d501"), ElementsAre("1"));
}

TEST(Regex, TakesOnlyUnicodesWhiteSpaceAsSpace) {
  EXPECT_THAT(matches(R"(\s)", "\u180e \u0085\u200b\u3000"), ElementsAre(" ", "\u0085", "\u3000"));
  EXPECT_THAT(matches(R"(\S)", "\u180e \u200b"), ElementsAre("\u180e", "\u200b"));
}

TEST(Regex, ReadsRubySyntaxWhereItDiffers) {
  EXPECT_THAT(matches(R"(\p{N}{1,3}+x)", "1234x"), ElementsAre("1234x"));  // a repeated repeat, not a possessive one
  EXPECT_THAT(matches(R"(a{2}?)", "aaa"), ElementsAre("aa", ""));          // an optional repeat, not a lazy one
  EXPECT_THAT(matches(R"(^.)", "a\nb"), ElementsAre("a", "b"));
  EXPECT_THAT(matches(R"((?mi:A.)|b.)", "a\nb\n"), ElementsAre("a\n"));  // m lets . match line breaks
  EXPECT_THAT(matches(R"((?m)b.)", "b\nB\n"), ElementsAre("b\n"));
  EXPECT_THAT(matches(R"(\b.)", "e\u0301 x"), ElementsAre("e", " ", "x"));  // an accent belongs to its word
  EXPECT_THAT(matches(R"([[:punct:]]+)", "a\u00ab$\u2581b\u2044"),
              ElementsAre("\u00ab$\u2581", "\u2044"));  // symbols too
  EXPECT_THAT(matches(R"([[:alpha:]_]+)", "e\u0345_1"), ElementsAre("e\u0345_"));
  EXPECT_THAT(matches(R"([[:lower:]])", "a\u00aaA"), ElementsAre("a", "\u00aa"));
  EXPECT_THAT(matches(R"([[:space:]])", "\u180e\u3000"), ElementsAre("\u3000"));
  EXPECT_THAT(matches(R"(\B.)", "e\u0301f"), ElementsAre("\u0301", "f"));
  EXPECT_THAT(matches(R"(\h+\u0067)", "zaFg"), ElementsAre("aFg"));
  EXPECT_THAT(matches(R"(\w+)", "a\u0301_1-"), ElementsAre("a\u0301_1"));
  EXPECT_THAT(matches(R"(\p{Han}+)", "\u3002\u4e2d"), ElementsAre("\u4e2d"));  // the script, not its extensions
}

TEST(Regex, FindsEmptyMatchesButNoneThatTouchesTheOneBefore) {
  EXPECT_THAT(matches(R"(\d*)", "\u00e91\u00e9"), ElementsAre("", "1", ""));
}

TEST(Regex, SurvivesLongTexts) {
  const std::string letters(1'000'000, 'a');
  EXPECT_THAT(matches(R"(\s+(?!\S)|\p{L}+|\s+)", letters), ElementsAre(letters));
  const std::string spaces(1'000'000, ' ');
  EXPECT_THAT(matches(R"(\s*[\r\n]+|\s+(?!\S)|\s+)", spaces + "x"), ElementsAre(spaces.substr(1), " "));
}

TEST(Regex, SurvivesDeepBacktracking) {
  const std::string text(2'000'000, 'a');
  EXPECT_THAT(matches(R"((?:a|b(?=c)|\p{L}x)+)", text), ElementsAre(text));
}

TEST(Regex, NamesThePatternItCannotRead) {
  EXPECT_THAT([] { Regex(R"([a&&b])"); }, ThrowsMessage<base::IoError>(HasSubstr("class intersection")));
  EXPECT_THAT([] { Regex(R"([[:^alpha:]])"); }, ThrowsMessage<base::IoError>(HasSubstr("[:^alpha:]")));
  EXPECT_THAT([] { Regex(R"(a(?i)b|c)"); }, ThrowsMessage<base::IoError>(HasSubstr("behind the beginning")));
  EXPECT_THAT([] { Regex(R"((a)"); }, ThrowsMessage<base::IoError>(HasSubstr("(a")));
}

TEST(Regex, MatchesEscapedTextLiterally) {
  const std::string text = R"(a.b*c[d]\(e) {f}|$^-#)";
  EXPECT_THAT(matches(escape_regex(text).c_str(), "x" + text + "y"), ElementsAre(text));
}

}  // namespace
}  // namespace grpo::tokenizer
