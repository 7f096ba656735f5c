#include "config/sample.h"

namespace grpo::config {
namespace {

class LoadErrors : public ConfigTest {
 protected:
  static std::string error_in(const std::string& text) {
    return error_of([&] { read(text); });
  }
  /// The error of one key of `all`, without the place.
  static std::string value_error(const std::string& entry) {
    const std::string message = error_in("all:\n  " + entry + "\n");
    const std::string place = "a.yaml:2: all.";
    EXPECT_EQ(message.substr(0, place.size()), place);
    return message.substr(std::min(place.size(), message.size()));
  }
};

TEST_F(LoadErrors, AnUnknownKeyNamesTheNearestOne) {
  write("configs/a.yaml", "all:\n  flag: true\n\n  cuont: 3\n");
  Sample s;
  EXPECT_EQ(error_of([&] { load(base::fields_of(s), {.file = "configs/a.yaml", .overrides = {}}); }),
            "configs/a.yaml:4: all.cuont: unknown key (did you mean count?)");
  EXPECT_EQ(error_in("al: {}\n"), "a.yaml:1: al: unknown key (did you mean all?)");
  EXPECT_EQ(error_in("all: {flag: true,\n  inner: {\n    ceof: 1}}\n"),
            "a.yaml:3: all.inner.ceof: unknown key (did you mean coef?)");
  EXPECT_EQ(error_in("terms:\n  - type: math\n  - wieght: 1\n"),
            "a.yaml:3: terms.1.wieght: unknown key (did you mean weight?)");
}

TEST_F(LoadErrors, AFileThatIsNoConfigurationBySizeIsNotParsed) {
  EXPECT_THAT(error_in("#" + std::string(5 << 20, ' ') + "\n"), ::testing::HasSubstr("more than any configuration"));
}

TEST_F(LoadErrors, AMisplacedKeyNamesItsSection) {
  EXPECT_EQ(error_in("maybe_rate: 1\n"), "a.yaml:1: maybe_rate: unknown key (did you mean all.maybe_rate?)");
  EXPECT_EQ(error_in("all:\n  inner:\n    auto_count: 1\n"),
            "a.yaml:3: all.inner.auto_count: unknown key (did you mean all.auto_count?)");
}

TEST_F(LoadErrors, AKeyLikeNoOtherListsTheKnownOnes) {
  EXPECT_EQ(error_in("all:\n  inner: {something: 1}\n"),
            "a.yaml:2: all.inner.something: unknown key (known: coef, limit)");
}

TEST_F(LoadErrors, AKeyGivenTwiceIsAnError) {
  EXPECT_EQ(error_in("all:\n  count: 3\n  count: 3\n"), "a.yaml:3: all.count: given twice");
  EXPECT_EQ(error_in("all: {count: 1}\nall: {rate: 2}\n"), "a.yaml:2: all: given twice");
  EXPECT_EQ(error_in("all:\n  chat: {a: x, a: y}\n"), "a.yaml:2: all.chat.a: given twice");
}

TEST_F(LoadErrors, WrongTypes) {
  EXPECT_EQ(value_error("flag: yes"), "flag: expected true or false, got yes");
  EXPECT_EQ(value_error("flag: 'true'"), "flag: expected true or false, got the text \"true\"");
  EXPECT_EQ(value_error("flag: 1"), "flag: expected true or false, got 1");
  EXPECT_EQ(value_error("count: two"), "count: expected an integer >= 1, got two");
  EXPECT_EQ(value_error("count: 1.5"), "count: expected an integer >= 1, got 1.5");
  EXPECT_EQ(value_error("count: '4'"), "count: expected an integer >= 1, got the text \"4\"");
  EXPECT_EQ(value_error("count: [4]"), "count: expected an integer >= 1, got a list");
  EXPECT_EQ(value_error("count: null"), "count: expected an integer >= 1, got null");
  EXPECT_EQ(value_error("count:"), "count: expected an integer >= 1, got null");
  EXPECT_EQ(value_error("count: auto"), "count: expected an integer >= 1, got auto");
  EXPECT_EQ(value_error("rate: fast"), "rate: expected a number > 0, got fast");
  EXPECT_EQ(value_error("rate: .nan"), "rate: expected a number > 0, got .nan");
  EXPECT_EQ(value_error("rate: .inf"), "rate: expected a number > 0, got .inf");
  EXPECT_EQ(value_error("text: [a]"), "text: expected a text, got a list");
  EXPECT_EQ(value_error("text: {a: b}"), "text: expected a text, got a mapping");
  EXPECT_EQ(value_error("text: null"), "text: expected a text, got null");
  EXPECT_EQ(value_error("maybe_count: auto"), "maybe_count: expected an integer >= 1 or null, got auto");
  EXPECT_EQ(value_error("maybe_rate: x"), "maybe_rate: expected a number in [0, 10] or null, got x");
  EXPECT_EQ(value_error("auto_count: null"), "auto_count: expected an integer >= 1 or auto, got null");
  EXPECT_EQ(value_error("auto_rate: otto"), "auto_rate: expected a number > 0 or auto, got otto");
  EXPECT_EQ(value_error("names: {a: 1}"), "names: expected a list: [a text, ...], got a mapping");
  EXPECT_EQ(value_error("names: [a, [b]]"), "names.1: expected a text, got a list");
  EXPECT_EQ(value_error("names: [a, ~]"), "names.1: expected a text, got null");
  EXPECT_EQ(value_error("ids: 3"), "ids: expected a list: [an integer, ...], got 3");
  EXPECT_EQ(value_error("ids: [3, x]"), "ids.1: expected an integer >= 0, got x");
  EXPECT_EQ(value_error("betas: {a: 1}"), "betas: expected a list: [a number, ...], got a mapping");
  EXPECT_EQ(value_error("chat: [a]"), "chat: expected a text or a mapping of texts, got a list");
  EXPECT_EQ(value_error("chat: {}"), "chat: expected a text or a mapping of texts, got a mapping");
  EXPECT_EQ(value_error("chat: {a: [b]}"), "chat.a: expected a text, got a list");
  EXPECT_EQ(value_error("chat: null"), "chat: expected a text or a mapping of texts, got null");
  EXPECT_EQ(value_error("inner: 3"), "inner: expected a section (a mapping of keys), got 3");
  EXPECT_EQ(value_error("inner: [a]"), "inner: expected a section (a mapping of keys), got a list");
  EXPECT_EQ(error_in("all:\n  ? [a, b]\n  : c\n"), "a.yaml:2: all: expected a key, got a list");
}

TEST_F(LoadErrors, WrongListsOfSections) {
  EXPECT_EQ(error_in("terms: {type: math}\n"), "a.yaml:1: terms: expected a list of sections, got a mapping");
  EXPECT_EQ(error_in("terms:\n"), "a.yaml:1: terms: expected a list of sections, got null");
  EXPECT_EQ(error_in("terms:\n  - math\n"), "a.yaml:2: terms.0: expected a section (a mapping of keys), got math");
  EXPECT_EQ(error_in("terms:\n  - type: a\n  -\n"),
            "a.yaml:2: terms.1: expected a section (a mapping of keys), got null");
  EXPECT_EQ(error_in("terms:\n  - {type: a,\n     weight: 0}\n"),
            "a.yaml:3: terms.0.weight: expected a number > 0, got 0");
}

TEST_F(LoadErrors, OutOfRange) {
  EXPECT_EQ(value_error("count: 0"), "count: expected an integer >= 1, got 0");
  EXPECT_EQ(value_error("count: 99999999999999999999"), "count: expected an integer >= 1, got 99999999999999999999");
  EXPECT_EQ(value_error("rate: 0"), "rate: expected a number > 0, got 0");
  EXPECT_EQ(value_error("maybe_count: -1"), "maybe_count: expected an integer >= 1 or null, got -1");
  EXPECT_EQ(value_error("maybe_rate: 10.5"), "maybe_rate: expected a number in [0, 10] or null, got 10.5");
  EXPECT_EQ(value_error("auto_count: 0"), "auto_count: expected an integer >= 1 or auto, got 0");
  EXPECT_EQ(value_error("ids: [1, -1]"), "ids.1: expected an integer >= 0, got -1");
  EXPECT_EQ(value_error("betas: [0.9, 0]"), "betas.1: expected a number in (0, 1], got 0");
}

TEST_F(LoadErrors, BoundsThemselvesAreAllowed) {
  EXPECT_EQ(read("all: {count: 1, maybe_rate: 0, betas: [1]}\n").all.count, 1);
  EXPECT_EQ(read("all: {maybe_rate: 10}\n").all.maybe_rate, 10.0);
}

TEST_F(LoadErrors, UnknownChoices) {
  EXPECT_EQ(value_error("color: gren"), "color: unknown value gren (did you mean green?)");
  EXPECT_EQ(value_error("color: octarine"), "color: unknown value octarine (known: red, green, dark_blue)");
  EXPECT_EQ(value_error("color: [red]"), "color: expected one of red, green, dark_blue, got a list");
  EXPECT_EQ(value_error("color: 1"), "color: unknown value \"1\" (known: red, green, dark_blue)");
}

TEST_F(LoadErrors, LongValuesAreCutAndStayOnOneLine) {
  EXPECT_EQ(value_error("count: \"" + std::string(70, 'x') + "\""),
            "count: expected an integer >= 1, got the text " + std::string(60, 'x') + "...");
  EXPECT_EQ(value_error("count: \"a\\nb\""), "count: expected an integer >= 1, got the text \"a\\nb\"");
}

TEST_F(LoadErrors, SyntaxErrorsNameTheLine) {
  EXPECT_EQ(error_in("all: {count: 1\n"), "a.yaml:2: not valid YAML: end of map flow not found");
  EXPECT_EQ(error_in("all:\n  count: [1\n  rate: 2\n"), "a.yaml:3: not valid YAML: end of sequence flow not found");
  // From 0.8 on, yaml-cpp adds the anchor's name.
  EXPECT_THAT(error_in("all:\n  names: *nobody\n"),
              testing::StartsWith("a.yaml:2: not valid YAML: the referenced anchor is not defined"));
}

TEST_F(LoadErrors, AFileIsOneMappingOfSections) {
  EXPECT_EQ(error_in("- a\n- b\n"), "a.yaml:1: expected a mapping of sections, got a list");
  EXPECT_EQ(error_in("hello\n"), "a.yaml:1: expected a mapping of sections, got hello");
  EXPECT_EQ(error_in("all: {}\n---\nall: {}\n"), "a.yaml: expected one YAML document, got several (separated by ---)");
  // Here the parser would find one document after the other without end.
  EXPECT_EQ(error_in("! r\n? "), "a.yaml: expected one YAML document, got several (separated by ---)");
}

// The memory of a process is a regular file whose first bytes cannot be read (EIO), as on a disk that fails.
TEST_F(LoadErrors, AFileThatCannotBeReadIsNamed) {
  Sample s;
  EXPECT_EQ(error_of([&] { load(base::fields_of(s), {.file = "/proc/self/mem", .overrides = {}}); }),
            "/proc/self/mem: cannot be read: Input/output error");
}

TEST_F(LoadErrors, AMissingFileSaysWhereItWasLookedFor) {
  Sample s;
  EXPECT_EQ(error_of([&] { load(base::fields_of(s), {.file = "none.yaml", .overrides = {}}); }),
            "none.yaml: no such file (looked in " + folder_.string() + ")");
  std::filesystem::create_directory("dir.yaml");
  EXPECT_EQ(error_of([&] { load(base::fields_of(s), {.file = "dir.yaml", .overrides = {}}); }),
            "dir.yaml: expected a YAML file, this is none");
}

TEST_F(LoadErrors, DeepNestingIsRefusedNotFatal) {
  EXPECT_THAT(error_in("all: " + std::string(100000, '[')), testing::HasSubstr("not valid YAML"));
}

}  // namespace
}  // namespace grpo::config
