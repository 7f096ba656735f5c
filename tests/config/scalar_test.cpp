#include "config/scalar.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <limits>

namespace grpo::config {
namespace {

TEST(Scalar, ReadsOnlyTrueAndFalseAsBooleans) {
  EXPECT_EQ(parse_bool("true"), true);
  EXPECT_EQ(parse_bool("false"), false);
  for (const char* text : {"True", "yes", "no", "on", "1", "", "truee"}) EXPECT_FALSE(parse_bool(text)) << text;
}

TEST(Scalar, ReadsIntegersAndWholeFloats) {
  EXPECT_EQ(parse_integer("512"), 512);
  EXPECT_EQ(parse_integer("-3"), -3);
  EXPECT_EQ(parse_integer("+3"), 3);
  EXPECT_EQ(parse_integer("1e3"), 1000);
  EXPECT_EQ(parse_integer("1.5e3"), 1500);
  EXPECT_EQ(parse_integer("9223372036854775807"), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(parse_integer("-9223372036854775808"), std::numeric_limits<int64_t>::min());
}

TEST(Scalar, RefusesWhatIsNoExactInteger) {
  for (const char* text : {"", "1.5", "1e-3", "9223372036854775808", "1e16", "1e999", "12a", "0x10", "1_000", " 1",
                           "1 ", "inf", "nan", ".inf", "+-3", "--3", "+"}) {
    EXPECT_FALSE(parse_integer(text)) << text;
  }
}

TEST(Scalar, ReadsFiniteNumbers) {
  EXPECT_EQ(parse_number("1e-6"), 1e-6);
  EXPECT_EQ(parse_number("+.5"), 0.5);
  EXPECT_EQ(parse_number("3"), 3.0);
  for (const char* text : {"", "inf", ".inf", "nan", ".nan", "1e999", "0.1f", "1,5", "1 2"}) {
    EXPECT_FALSE(parse_number(text)) << text;
  }
}

TEST(Scalar, WritesNumbersShortestWithAPoint) {
  EXPECT_EQ(format_number(1), "1.0");
  EXPECT_EQ(format_number(0.1), "0.1");
  EXPECT_EQ(format_number(8e-6), "8.0e-6");
  EXPECT_EQ(format_number(1.5e-7), "1.5e-7");
  EXPECT_EQ(format_number(1e300), "1.0e+300");
  EXPECT_EQ(format_number(-2.5e-10), "-2.5e-10");
  EXPECT_EQ(format_number(-0.0), "-0.0");
  EXPECT_THROW(format_number(std::numeric_limits<double>::infinity()), std::logic_error);
}

TEST(Scalar, NumbersReadBackBitForBit) {
  for (const double value : {0.1, 1.0 / 3, 1e-6, 1e22, 123456789.123, DBL_MAX, DBL_MIN, 5e-324, -0.3, 1e5, 1e6, 1e15}) {
    EXPECT_EQ(parse_number(format_number(value)), value);
  }
}

TEST(Scalar, LeavesSafeTextsPlain) {
  for (const char* text : {"a", "qwen-math", "data/train.jsonl", "../x", "./runs", "two words", "a=b", "v1.5"}) {
    EXPECT_EQ(format_text(text), text);
  }
}

TEST(Scalar, QuotesWhatAReaderCouldTakeForSomethingElse) {
  for (const char* text : {"",     "null", "NULL",       "~",  "true", "Yes", "off",      "n",    "12",  "1e3",
                           "0x1F", ".5",   "2020-01-01", "-a", "a ",   " a",  "a: b",     "a #b", "[a]", "{problem}",
                           "a,b",  "*a",   "&a",         "!a", "%a",   "@a",  "\xC3\xA9", ".inf", ".NaN"}) {
    EXPECT_EQ(format_text(text), "\"" + std::string(text) + "\"");
  }
  EXPECT_EQ(format_text("a\n\t\"b\"\\\r\x01\x7F"), R"("a\n\t\"b\"\\\r\x01\x7F")");
}

}  // namespace
}  // namespace grpo::config
