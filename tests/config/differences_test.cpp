#include <cmath>

#include "config/sample.h"

namespace grpo::config {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<Difference> differences_of(Sample a, Sample b) {
  return differences(base::fields_of(a), base::fields_of(b));
}

TEST(Differences, AreNoneBetweenEqualConfigurations) {
  Sample s;
  s.terms = {{"math", 1}};
  EXPECT_THAT(differences_of(s, s), IsEmpty());
}

TEST(Differences, NameEachKeyInOrder) {
  Sample b;
  b.all.flag = true;
  b.all.text = "bye: now";
  b.all.maybe_count = 3;
  b.all.maybe_rate = std::nullopt;
  b.all.auto_rate.value = std::nullopt;
  b.all.names = {"a"};
  b.all.chat = {.text = "", .map = {{"system", "s"}}};
  b.all.color = Color::kRed;
  b.all.inner.coef = 0.25;
  EXPECT_THAT(differences_of({}, b),
              ElementsAre(Difference{"all.flag", "false", "true"}, Difference{"all.text", "hello", "\"bye: now\""},
                          Difference{"all.maybe_count", "null", "3"}, Difference{"all.maybe_rate", "1.5", "null"},
                          Difference{"all.auto_rate", "2.5", "auto"}, Difference{"all.names", "[a, b]", "[a]"},
                          Difference{"all.chat", "auto", "{system: s}"}, Difference{"all.color", "green", "red"},
                          Difference{"all.inner.coef", "0.5", "0.25"}));
}

TEST(Differences, SeeTheLastBit) {
  Sample b;
  b.all.rate = std::nextafter(0.25, 1.0);
  EXPECT_THAT(differences_of({}, b), ElementsAre(Difference{"all.rate", "0.25", "0.25000000000000006"}));
}

TEST(Differences, SeeElementsThatOnlyOneSideHas) {
  Sample a;
  Sample b;
  a.terms = {{"math", 1}};
  b.terms = {{"math", 2}, {"format", 1}};
  EXPECT_THAT(differences_of(a, b),
              ElementsAre(Difference{"terms.0.weight", "1.0", "2.0"}, Difference{"terms.1.type", "(absent)", "format"},
                          Difference{"terms.1.weight", "(absent)", "1.0"}));
  EXPECT_THAT(differences_of(b, a),
              ElementsAre(Difference{"terms.0.weight", "2.0", "1.0"}, Difference{"terms.1.type", "format", "(absent)"},
                          Difference{"terms.1.weight", "1.0", "(absent)"}));
}

}  // namespace
}  // namespace grpo::config
