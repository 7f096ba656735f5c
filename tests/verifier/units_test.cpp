#include "verifier/units.h"

#include <gtest/gtest.h>

namespace grpo::verifier {
namespace {

TEST(Units, NamesSymbolsAndPlurals) {
  for (const char* name : {"km", "kilometer", "kilometers", "Kilometres"}) {
    const auto unit = find_unit(name);
    ASSERT_TRUE(unit) << name;
    EXPECT_EQ(unit->factor, Rational(1000)) << name;
    EXPECT_EQ(unit->dimensions.at("m"), 1) << name;
  }
  EXPECT_FALSE(find_unit("KM2"));
  EXPECT_FALSE(find_unit("x"));
}

TEST(Units, PhrasesMultiplyAndDivide) {
  const auto speed = parse_unit("miles per hour");
  ASSERT_TRUE(speed);
  EXPECT_EQ(speed->dimensions.at("m"), 1);
  EXPECT_EQ(speed->dimensions.at("s"), -1);
  const auto acceleration = parse_unit("m/s^2");
  ASSERT_TRUE(acceleration);
  EXPECT_EQ(acceleration->dimensions.at("s"), -2);
  EXPECT_EQ(parse_unit("square feet")->dimensions.at("m"), 2);
  EXPECT_EQ(parse_unit("cm^3")->factor, Rational(1, 1000000));
}

TEST(Units, UnknownThingsDiffer) {
  EXPECT_EQ(parse_unit("red marbles")->dimensions, parse_unit("red marble")->dimensions);
  EXPECT_NE(parse_unit("apples")->dimensions, parse_unit("pears")->dimensions);
  EXPECT_EQ(parse_unit("square units")->dimensions.at("unit"), 2);
}

TEST(Units, PrefixesScaleSymbolsAndNames) {
  EXPECT_EQ(find_unit("keV")->factor, Rational(1000));
  EXPECT_EQ(find_unit("microseconds")->factor, Rational(1, 1000000));
  EXPECT_EQ(find_unit("Mg")->factor, Rational(1000000));
  EXPECT_EQ(parse_unit("N * m")->dimensions, find_unit("J")->dimensions);
  EXPECT_EQ(parse_unit("J / ( mol K )")->dimensions.at("kelvin"), -1);
}

TEST(Units, StatementsAreNoUnits) {
  for (const char* phrase : {"below zero", "hundredths", "times", "negative", "crore", "th", "x", "or 5", "is wrong",
                             "and more", "not", "at least one of these many things"})
    EXPECT_FALSE(parse_unit(phrase)) << phrase;
}

}  // namespace
}  // namespace grpo::verifier
