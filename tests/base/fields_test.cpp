#include "grpo/base/fields.h"

#include <gmock/gmock.h>

#include <type_traits>

namespace grpo::base {
namespace {

enum class Color { kRed, kDarkBlue };
std::vector<std::string> enum_names(Color) { return {"red", "dark_blue"}; }

struct Inner {
  int64_t count = 1;
  GRPO_FIELDS(f) { f("count", count, "how many", at_least(0)); }
};

struct Outer {
  bool flag = true;
  Color color = Color::kRed;
  Inner inner;
  std::vector<Inner> list;
  Auto<double> theta;
  GRPO_FIELDS(f) {
    f("flag", flag, "on or off");
    f("color", color, "which");
    f("inner", inner, "a section");
    f("list", list, "sections");
    f("theta", theta, "auto or a number", above(0));
  }
};

TEST(Fields, ListKeysInOrderWithDocsAndRanges) {
  Outer outer;
  const auto fields = fields_of(outer);
  std::vector<std::string> names;
  for (const Field& field : fields.list()) names.push_back(field.name);
  EXPECT_THAT(names, ::testing::ElementsAre("flag", "color", "inner", "list", "theta"));
  EXPECT_EQ(fields.list()[0].doc, "on or off");
  EXPECT_TRUE(fields.list()[4].range.open_min);
  EXPECT_EQ(fields.list()[4].range.min, 0.0);
}

TEST(Fields, ListOfATemporaryLivesOn) {
  static_assert(!std::is_reference_v<decltype(Fields().list())>);
  Outer outer;
  std::vector<std::string> names;
  for (const Field& field : fields_of(outer).list()) names.push_back(field.name);
  EXPECT_THAT(names, ::testing::ElementsAre("flag", "color", "inner", "list", "theta"));
}

TEST(Fields, PointIntoTheLiveStruct) {
  Outer outer;
  const auto fields = fields_of(outer);
  *std::get<bool*>(fields.list()[0].value) = false;
  EXPECT_FALSE(outer.flag);
  const auto& theta = std::get<Auto<double>*>(fields.list()[4].value);
  theta->value = 2.0;
  EXPECT_EQ(outer.theta.value, 2.0);
}

TEST(Fields, SeeAnEnumAsItsNames) {
  Outer outer;
  const auto fields = fields_of(outer);
  const auto& color = std::get<EnumField>(fields.list()[1].value);
  EXPECT_THAT(color.names, ::testing::ElementsAre("red", "dark_blue"));
  EXPECT_EQ(color.get(), 0U);
  color.set(1);
  EXPECT_EQ(outer.color, Color::kDarkBlue);
}

TEST(Fields, EnterSectionsAndListsOfSections) {
  Outer outer;
  const auto fields = fields_of(outer);
  const auto inner = std::get<SectionField>(fields.list()[2].value).fields();
  *std::get<int64_t*>(inner.list().at(0).value) = 7;
  EXPECT_EQ(outer.inner.count, 7);

  const auto& list = std::get<SectionListField>(fields.list()[3].value);
  list.resize(2);
  EXPECT_EQ(list.size(), 2U);
  *std::get<int64_t*>(list.fields(1).list().at(0).value) = 9;
  EXPECT_EQ(outer.list.at(1).count, 9);
  EXPECT_EQ(outer.list.at(0).count, 1);
}

}  // namespace
}  // namespace grpo::base
