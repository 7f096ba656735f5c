#include "verifier/scalar.h"

#include <gtest/gtest.h>

#include "verifier/exact.h"
#include "verifier/parser.h"
#include "verifier/polynomial.h"

namespace grpo::verifier {
namespace {

class Scalars : public ::testing::Test {
 protected:
  Ref parse(const std::string& text) { return parse_answer(text, arena_); }
  bool equal(const std::string& a, const std::string& b) {
    return equal_scalars(parse(a), parse(b), ScalarPolicy{}, arena_);
  }

  Budget budget_{1000000};
  Arena arena_{budget_};
};

TEST_F(Scalars, ExactValuesAreRational) {
  EXPECT_EQ(*exact_value(parse("\\frac{1}{3}+\\frac{1}{6}"), budget_), Rational(1, 2));
  EXPECT_EQ(*exact_value(parse("\\sqrt{\\frac{9}{4}}"), budget_), Rational(3, 2));
  EXPECT_EQ(*exact_value(parse("\\log_4 8"), budget_), Rational(3, 2));
  EXPECT_FALSE(exact_value(parse("\\sqrt2"), budget_));
  EXPECT_THROW(exact_value(parse("\\frac{1}{2-2}"), budget_), Undefined);
}

TEST_F(Scalars, PolynomialsAreExpanded) {
  EXPECT_TRUE(*same_rational_function(parse("(x+y)^{10}(x-y)^{10}"), parse("(x^2-y^2)^{10}"), budget_));
  EXPECT_FALSE(*same_rational_function(parse("(x+y)^{10}"), parse("x^{10}+y^{10}"), budget_));
  EXPECT_FALSE(same_rational_function(parse("\\sin x"), parse("x"), budget_).has_value());
}

TEST_F(Scalars, CloseNumbersAreDifferent) {
  // These agree to 30, 12 and 9 digits.
  EXPECT_FALSE(equal("e^{\\pi\\sqrt{163}}", "262537412640768744"));
  EXPECT_FALSE(equal("\\frac{355}{113}", "\\pi"));
  EXPECT_FALSE(equal("\\sqrt[4]{9^2+\\frac{19^2}{22}}", "\\pi"));
}

TEST_F(Scalars, NumbersTooLargeToTellApartAreNotCalledEqual) {
  EXPECT_TRUE(equal("10^{10^{10}}", "10^{10^{10}}"));
  EXPECT_THROW(equal("10^{10^{10}}+1", "10^{10^{10}}"), OverBudget);
  EXPECT_THROW(equal("\\sqrt2\\cdot10^{10^{10}}+1", "\\sqrt2\\cdot10^{10^{10}}"), OverBudget);
}

TEST_F(Scalars, LargeIrrationalNumbersAreComparedToTheirLastDigit) {
  EXPECT_TRUE(equal("\\sqrt2^{2001}", "2^{1000}\\sqrt2"));
  EXPECT_FALSE(equal("\\sqrt2^{2001}+1", "2^{1000}\\sqrt2"));
}

TEST_F(Scalars, IdentitiesHold) {
  EXPECT_TRUE(equal("\\sqrt{2+\\sqrt{3}}", "\\frac{\\sqrt6+\\sqrt2}{2}"));
  EXPECT_TRUE(equal("4\\arctan\\frac15-\\arctan\\frac1{239}", "\\frac{\\pi}{4}"));
  EXPECT_TRUE(equal("\\sin 3x", "3\\sin x-4\\sin^3 x"));
  EXPECT_TRUE(equal("\\sqrt[3]{2+\\sqrt5}+\\sqrt[3]{2-\\sqrt5}", "1"));
}

TEST_F(Scalars, OrderOfReals) {
  EXPECT_EQ(compare_reals(parse("\\sqrt2"), parse("1.42"), arena_), -1);
  EXPECT_EQ(compare_reals(parse("\\sqrt4"), parse("2"), arena_), 0);
  EXPECT_EQ(compare_reals(parse("\\infty"), parse("10^{100}"), arena_), 1);
  EXPECT_FALSE(compare_reals(parse("i"), parse("0"), arena_).has_value());
  EXPECT_FALSE(compare_reals(parse("x"), parse("0"), arena_).has_value());
}

TEST_F(Scalars, ProportionalWithItsSign) {
  bool positive = true;
  EXPECT_TRUE(proportional(parse("x-2y"), parse("6y-3x"), arena_, positive));
  EXPECT_FALSE(positive);
  EXPECT_FALSE(proportional(parse("x-2y"), parse("x-3y"), arena_, positive));
  EXPECT_TRUE(proportional(parse("2\\sin x"), parse("\\sin x"), arena_, positive));
  EXPECT_TRUE(positive);
}

}  // namespace
}  // namespace grpo::verifier
