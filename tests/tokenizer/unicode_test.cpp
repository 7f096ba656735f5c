#include "tokenizer/unicode.h"

#include <gtest/gtest.h>

namespace grpo::tokenizer {
namespace {

TEST(Utf8, ReplacesEachMaximalInvalidPartByOneCharacter) {
  EXPECT_EQ(to_valid_utf8("a\xe4\xb8z"), "a\ufffdz");  // a cut-off character is one part
  EXPECT_EQ(to_valid_utf8("\xf0\x9f\x92"), "\ufffd");
  EXPECT_EQ(to_valid_utf8("\xed\xa0\x80"), "\ufffd\ufffd\ufffd");  // a surrogate: no byte starts a character
  EXPECT_EQ(to_valid_utf8("\xc0\xaf"), "\ufffd\ufffd");            // overlong
  EXPECT_EQ(to_valid_utf8("\xf4\x90\x80\x80"), "\ufffd\ufffd\ufffd\ufffd");
  EXPECT_EQ(to_valid_utf8("\x80\xff"), "\ufffd\ufffd");
}

TEST(Utf8, KeepsValidTextAndNulBytes) {
  const std::string text("h\u00e9\0\u4e2d\U0001f600", 11);
  EXPECT_EQ(to_valid_utf8(text), text);
  EXPECT_TRUE(is_valid_utf8(text));
}

TEST(Utf8, WritesWhatItReads) {
  for (const char32_t c : {0x0u, 0x7fu, 0x80u, 0x7ffu, 0x800u, 0xffffu, 0x10000u, 0x10ffffu}) {
    std::string text;
    append_utf8(text, c);
    EXPECT_EQ(code_point_at(text, 0).value, c);
    EXPECT_EQ(code_point_at(text, 0).length, text.size());
  }
}

TEST(WhiteSpace, IsStrippedOnTheAskedSideOnly) {
  EXPECT_EQ(strip_white_space_left("\u3000\t a \u00a0"), "a \u00a0");
  EXPECT_EQ(strip_white_space_right(" a \u00a0\u2028"), " a");
  EXPECT_EQ(strip_white_space_right("\u200b"), "\u200b");  // a zero-width space is no White_Space
  EXPECT_EQ(strip_white_space_left(" \n"), "");
}

TEST(LowerCase, WorksCharacterByCharacter) {
  EXPECT_EQ(to_lower("\u00c9\u0130\u03a3"), "\u00e9i\u0307\u03c3");  // no final sigma
  EXPECT_EQ(to_lower("\u1e9e\u212a"), "\u00dfk");
  EXPECT_EQ(to_lower("\U00010d50\ua7dc"), "\U00010d70\u019b");  // Unicode 16
}

}  // namespace
}  // namespace grpo::tokenizer
