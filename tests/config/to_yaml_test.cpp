#include "config/sample.h"

namespace grpo::config {
namespace {

class ToYaml : public ConfigTest {
 protected:
  /// Writes, checks that it reads back as the same, and returns the text.
  static std::string round_trip(Sample sample) {
    const std::string text = to_yaml(base::fields_of(sample));
    EXPECT_EQ(read(text), sample) << text;
    return text;
  }
};

TEST_F(ToYaml, WritesEveryKeyInOrder) {
  Sample s;
  s.all.chat = {.text = "{problem}\n", .map = {}};
  s.terms = {{"math", 1}, {"format", 0.1}};
  s.plans = {{"p", {1e-6, 3}}, {"q", {}}};
  EXPECT_EQ(round_trip(s),
            "all:\n"
            "  flag: false\n"
            "  count: 4\n"
            "  rate: 0.25\n"
            "  text: hello\n"
            "  maybe_count: null\n"
            "  maybe_rate: 1.5\n"
            "  auto_count: auto\n"
            "  auto_rate: 2.5\n"
            "  names: [a, b]\n"
            "  ids: []\n"
            "  betas: [0.9, 0.999]\n"
            "  chat: \"{problem}\\n\"\n"
            "  color: green\n"
            "  inner:\n"
            "    coef: 0.5\n"
            "    limit: null\n"
            "terms:\n"
            "  - {type: math, weight: 1.0}\n"
            "  - {type: format, weight: 0.1}\n"
            "plans:\n"
            "  - name: p\n"
            "    inner:\n"
            "      coef: 1.0e-6\n"
            "      limit: 3\n"
            "  - name: q\n"
            "    inner:\n"
            "      coef: 0.5\n"
            "      limit: null\n");
}

TEST_F(ToYaml, EmptyListsOfSectionsStayEmpty) {
  const std::string text = round_trip({});
  EXPECT_THAT(text, testing::EndsWith("terms: []\nplans: []\n"));
}

TEST_F(ToYaml, AwkwardTextsReadBack) {
  Sample s;
  for (const char* text : {"",
                           " ",
                           "null",
                           "~",
                           "true",
                           "no",
                           "123",
                           "1e3",
                           "a: b",
                           "a #c",
                           "#",
                           "- x",
                           "-",
                           "?",
                           "[",
                           "{a}",
                           "a,b",
                           "*x",
                           "&x",
                           "!x",
                           "|",
                           ">",
                           "%x",
                           "@x",
                           "`x`",
                           "'x'",
                           "\"x\"",
                           "a\\b",
                           "two\nlines\n",
                           "\ttab",
                           "trailing ",
                           "\r\n",
                           "\x01\x1F\x7F",
                           "caf\xC3\xA9 \xF0\x9F\x98\x80",
                           "---",
                           "...",
                           "auto",
                           "=",
                           "<<",
                           "\xE2\x80\xA8",
                           "\xC2\x85",
                           "\xEF\xBB\xBF"}) {
    s.all.text = text;
    s.all.names = {text, "between", text};
    s.all.chat = {.text = "", .map = {{text, text}, {"system", text}}};
    s.terms = {{text, 1}};
    s.plans = {{text, {}}};
    round_trip(s);
    s.all.chat = {.text = text, .map = {}};
    round_trip(s);
  }
}

TEST_F(ToYaml, NumbersReadBackBitForBit) {
  Sample s;
  s.all.betas.clear();
  for (const double value : {0.1, 1.0 / 3, 1e-300, 2.2250738585072014e-308, 0.30000000000000004, 1.0, 5e-324}) {
    s.all.rate = value;
    s.all.maybe_rate = value;
    s.all.auto_rate.value = value;
    s.all.betas.push_back(value);
    round_trip(s);
  }
  s.all.rate = 1.7976931348623157e308;
  s.all.count = std::numeric_limits<int64_t>::max();
  s.all.maybe_count = std::numeric_limits<int64_t>::max() - 1;
  s.all.auto_count.value = (int64_t{1} << 53) + 1;
  s.all.ids = {0, 9007199254740993};
  round_trip(s);
}

TEST_F(ToYaml, LongValuesTakeALineForEachElement) {
  Sample s;
  const std::string word(40, 'w');
  s.all.names = {word, word, word};
  s.all.ids.assign(40, 1234);
  s.all.betas.assign(30, 0.125);
  s.all.chat = {.text = "", .map = {{"system", word}, {"user_prefix", word}, {"user_suffix", word}}};
  s.terms = {{std::string(100, 't'), 1}};
  s.all.text = std::string(200, 'x');
  const std::string text = round_trip(s);
  EXPECT_THAT(text, testing::HasSubstr("  names:\n    - " + word + "\n    - " + word + "\n"));
  EXPECT_THAT(text, testing::HasSubstr("  ids:\n    - 1234\n"));
  EXPECT_THAT(text, testing::HasSubstr("  chat:\n    system: " + word + "\n    user_prefix: "));
  EXPECT_THAT(text, testing::HasSubstr("terms:\n  - type: " + std::string(100, 't') + "\n    weight: 1.0\n"));
}

struct Nothing {
  GRPO_FIELDS(f) { (void)f; }
};
struct HoldsNothing {
  Nothing nothing;
  GRPO_FIELDS(f) { f("nothing", nothing, "a section without keys"); }
};

TEST_F(ToYaml, ASectionWithoutKeysIsAnEmptyMapping) {
  HoldsNothing config;
  EXPECT_EQ(to_yaml(base::fields_of(config)), "nothing: {}\n");
}

TEST_F(ToYaml, AnInfiniteDefaultIsOurMistake) {
  Sample s;
  s.all.rate = std::numeric_limits<double>::infinity();
  EXPECT_THROW(to_yaml(base::fields_of(s)), std::logic_error);
}

}  // namespace
}  // namespace grpo::config
