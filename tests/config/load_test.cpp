#include "config/sample.h"

namespace grpo::config {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Load = ConfigTest;

TEST_F(Load, ReadsEveryType) {
  const Sample s = read(
      "all:\n"
      "  flag: true\n"
      "  count: 1e3\n"
      "  rate: 3\n"
      "  text: two words # a comment\n"
      "  maybe_count: 7\n"
      "  maybe_rate: ~\n"
      "  auto_count: 32\n"
      "  auto_rate: auto\n"
      "  names: [x.jsonl, 'y, z', 3]\n"
      "  ids: [0, 151643]\n"
      "  betas:\n"
      "    - 0.8\n"
      "    - 1\n"
      "  chat: {system: 'You: think', user_prefix: \"<|user|>\\n\"}\n"
      "  color: dark_blue\n"
      "  inner: {coef: 1.0e-6, limit: 9}\n"
      "terms:\n"
      "  - {type: math, weight: 2}\n"
      "  - type: format\n");
  Everything want;
  want.flag = true;
  want.count = 1000;
  want.rate = 3.0;
  want.text = "two words";
  want.maybe_count = 7;
  want.maybe_rate = std::nullopt;
  want.auto_count.value = 32;
  want.auto_rate.value = std::nullopt;
  want.names = {"x.jsonl", "y, z", "3"};
  want.ids = {0, 151643};
  want.betas = {0.8, 1.0};
  want.chat = {.text = "", .map = {{"system", "You: think"}, {"user_prefix", "<|user|>\n"}}};
  want.color = Color::kDarkBlue;
  want.inner = {.coef = 1e-6, .limit = 9};
  EXPECT_EQ(s.all, want);
  EXPECT_THAT(s.terms, ElementsAre(Term{"math", 2.0}, Term{"format", 1.0}));
  EXPECT_THAT(s.plans, IsEmpty());
}

TEST_F(Load, KeepsDefaultsOfWhatIsNotMentioned) {
  Sample want;
  want.all.count = 9;
  EXPECT_EQ(read("all: {count: 9}\n"), want);
}

TEST_F(Load, TakesEmptyFilesAndEmptySections) {
  EXPECT_EQ(read(""), Sample{});
  EXPECT_EQ(read("# nothing yet\n"), Sample{});
  EXPECT_EQ(read("all:\n  # count: 3\n"), Sample{});
  EXPECT_EQ(read("all: {}\n"), Sample{});
}

TEST_F(Load, TakesAnyScalarAsAText) {
  EXPECT_EQ(read("all: {text: 123}\n").all.text, "123");
  EXPECT_EQ(read("all: {text: true}\n").all.text, "true");
  EXPECT_EQ(read("all: {text: ''}\n").all.text, "");
  EXPECT_EQ(read("all: {text: 'null'}\n").all.text, "null");
  EXPECT_EQ(read("all: {chat: none}\n").all.chat, (base::TextOrMap{.text = "none", .map = {}}));
}

TEST_F(Load, ReadsAnchorsAndWindowsLineEnds) {
  const Sample s = read("all:\r\n  names: &n [p, q]\r\n  count: 5\r\n  inner: {coef: 0}\r\n");
  EXPECT_THAT(s.all.names, ElementsAre("p", "q"));
  EXPECT_EQ(s.all.count, 5);
  EXPECT_THAT(read("all: {names: [&x one, *x]}\n").all.names, ElementsAre("one", "one"));
}

TEST_F(Load, ReportsWhatWasRead) {
  write("configs/top.yaml", "base: common/mid.yaml\n");
  write("configs/common/mid.yaml", "base: ../root.yaml\n");
  write("configs/root.yaml", "all: {count: 2}\n");
  Sample s;
  const LoadedConfig loaded = load(base::fields_of(s), {.file = "configs/top.yaml", .overrides = {}});
  EXPECT_THAT(loaded.files, ElementsAre("configs/top.yaml", "configs/common/mid.yaml", "configs/root.yaml"));
  EXPECT_EQ(loaded.folder, "configs");
  EXPECT_EQ(s.all.count, 2);
}

TEST_F(Load, WithoutAFileTakesDefaultsAndOverrides) {
  Sample s;
  const LoadedConfig loaded = load(base::fields_of(s), {.file = {}, .overrides = {"all.count=8"}});
  EXPECT_THAT(loaded.files, IsEmpty());
  EXPECT_EQ(loaded.folder, "");
  EXPECT_EQ(s.all.count, 8);
}

using Inheritance = ConfigTest;

TEST_F(Inheritance, MergesSectionsAndReplacesLists) {
  write("base.yaml",
        "all: {count: 2, rate: 5, names: [p, q, r], chat: {a: x, b: y}, inner: {coef: 3, limit: 4}}\n"
        "terms: [{type: math, weight: 7}, {type: format}]\n");
  const Sample s = read(
      "base: base.yaml\n"
      "all: {rate: 6, names: [z], chat: {c: w}, inner: {limit: 5}}\n"
      "terms: [{type: length}]\n");
  EXPECT_EQ(s.all.count, 2);
  EXPECT_EQ(s.all.rate, 6);
  EXPECT_THAT(s.all.names, ElementsAre("z"));
  EXPECT_EQ(s.all.chat, (base::TextOrMap{.text = "", .map = {{"c", "w"}}}));
  EXPECT_EQ(s.all.inner, (Inner{3, 5}));
  EXPECT_THAT(s.terms, ElementsAre(Term{"length", 1.0}));
}

TEST_F(Inheritance, ATextReplacesAMapping) {
  write("base.yaml", "all: {chat: {a: x}}\n");
  EXPECT_EQ(read("base: base.yaml\nall: {chat: none}\n").all.chat, (base::TextOrMap{.text = "none", .map = {}}));
}

TEST_F(Inheritance, OverridesComeLast) {
  write("base.yaml", "all: {count: 2}\n");
  EXPECT_EQ(read("base: base.yaml\nall: {count: 3}\n", {"all.count=4"}).all.count, 4);
}

TEST_F(Inheritance, ACycleIsAnError) {
  write("b.yaml", "base: c.yaml\n");
  write("c.yaml", "base: ./b.yaml\n");
  EXPECT_EQ(error_of([] { read("base: b.yaml\n"); }),
            "c.yaml:1: base: a file inherits itself: a.yaml -> b.yaml -> c.yaml -> b.yaml");
  EXPECT_EQ(error_of([] { read("\n\nbase: a.yaml\n"); }), "a.yaml:3: base: a file inherits itself: a.yaml -> a.yaml");
}

TEST_F(Inheritance, AMissingBaseSaysWhereItWasLookedFor) {
  write("configs/a.yaml", "all: {}\nbase: sub/../none.yaml\n");
  Sample s;
  EXPECT_EQ(error_of([&] { load(base::fields_of(s), {.file = "configs/a.yaml", .overrides = {}}); }),
            "configs/a.yaml:2: base: no such file: configs/none.yaml");
}

TEST_F(Inheritance, TheBaseIsTheNameOfAFile) {
  EXPECT_EQ(error_of([] { read("base: [b.yaml]\n"); }), "a.yaml:1: base: expected the name of a YAML file");
  EXPECT_EQ(error_of([] { read("base:\n"); }), "a.yaml:1: base: expected the name of a YAML file");
  write("b.yaml", "");
  EXPECT_EQ(error_of([] { read("base: b.yaml\nbase: b.yaml\n"); }), "a.yaml:2: base: given twice");
}

TEST_F(Inheritance, ErrorsOfABaseNameItsFile) {
  write("configs/b.yaml", "\nall: {cuont: 1}\n");
  EXPECT_EQ(error_of([] { read("base: configs/b.yaml\n"); }),
            "configs/b.yaml:2: all.cuont: unknown key (did you mean count?)");
}

}  // namespace
}  // namespace grpo::config
