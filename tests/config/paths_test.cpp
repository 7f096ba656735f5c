#include "config/sample.h"

// Sections that may be given by their path alone, as those of data.train.

namespace grpo::config {
namespace {

struct Source {
  std::vector<std::string> path;
  double weight = 1.0;
  std::vector<std::string> where;
  GRPO_FIELDS(f) {
    f("path", path, "files");
    f("weight", weight, "its weight", base::above(0));
    f("where", where, "conditions");
    f.read_list_as("path");
  }
};
struct Sources {
  std::vector<Source> train;
  int64_t count = 1;
  GRPO_FIELDS(f) {
    f("train", train, "sets");
    f("count", count, "how many");
  }
};

class Paths : public ConfigTest {
 protected:
  // The configuration as it is written out again.
  std::string written(const std::string& text, const std::vector<std::string>& overrides = {}) {
    write("a.yaml", text);
    Sources sources;
    load(base::fields_of(sources), {.file = "a.yaml", .overrides = overrides});
    return to_yaml(base::fields_of(sources));
  }
};

TEST_F(Paths, StandForSectionsThatHaveOne) {
  EXPECT_EQ(written("train: [a, b]\n"), "train: [a, b]\ncount: 1\n");
  EXPECT_EQ(written("train: a\n"), "train: [a]\ncount: 1\n");
  EXPECT_EQ(written("train: {path: a}\n"), "train: [a]\ncount: 1\n");
  EXPECT_EQ(written("train: [{path: a}, {path: [b]}]\n"), "train: [a, b]\ncount: 1\n");
  EXPECT_EQ(written("train: []\n"), "train: []\ncount: 1\n");
  EXPECT_EQ(written("count: 2\n", {"train=[c,d]"}), "train: [c, d]\ncount: 2\n");
  EXPECT_EQ(written("count: 2\n", {"train=c"}), "train: [c]\ncount: 2\n");
}

TEST_F(Paths, AreMixedWithSectionsThatSayMore) {
  const std::string yaml =
      "train:\n"
      "  - a\n"
      "  - {path: [b, c], weight: 2.0, where: [\"level >= 3\", \"source != x | y\"]}\n"
      "count: 1\n";
  EXPECT_EQ(written("train: [a, {path: [b, c], weight: 2, where: [level >= 3, source != x | y]}]\n"), yaml);
  EXPECT_EQ(written(yaml), yaml);
  EXPECT_EQ(written("train: [a]\n", {"train.0.weight=0.5"}),
            "train:\n  - {path: [a], weight: 0.5, where: []}\ncount: 1\n");
}

TEST_F(Paths, OfWhichThereAreManyStandOneALine) {
  const std::string first(60, 'a'), second(60, 'b');
  EXPECT_EQ(written("train: [" + first + ", " + second + "]\n"),
            "train:\n  - " + first + "\n  - " + second + "\ncount: 1\n");
}

TEST_F(Paths, AreNoListsOfLists) {
  EXPECT_THAT(error_of([&] { written("train: [[a, b]]\n"); }),
              testing::HasSubstr("train.0: expected a path or a section (a mapping of keys), got a list"));
}

}  // namespace
}  // namespace grpo::config
