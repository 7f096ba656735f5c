#include "grpo/base/printable.h"

#include <gtest/gtest.h>

namespace grpo::base {
namespace {

TEST(Printable, LeavesTextLinesAndOtherScriptsAsTheyAre) {
  const std::string text = "a\tb\nβ 中 é \xF0\x9F\x98\x80";
  EXPECT_EQ(printable(text), text);
}

TEST(Printable, ShowsWhatWouldSteerATerminal) {
  EXPECT_EQ(printable("\x1b]0;title\x07"), "\\x1b]0;title\\x07");
  EXPECT_EQ(printable("a\rb"), "a\\x0db");
  EXPECT_EQ(printable("\xC2\x9B"
                      "31m"),
            "\\x9b31m");  // U+009B, which opens a sequence as ESC [ does
  EXPECT_EQ(printable(std::string("a\0b", 3)), "a\\x00b");
}

}  // namespace
}  // namespace grpo::base
