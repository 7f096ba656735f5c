#include "config/sample.h"

namespace grpo::config {
namespace {

struct Small {
  Everything all;
  std::vector<Term> terms;
  GRPO_FIELDS(f) {
    f("terms", terms, "rewards that are added");
    f("all", all, "one key of every type");
  }
};

struct Root {
  int64_t top = 3;
  Small small;
  GRPO_FIELDS(f) {
    f("top", top, "a key without a section", base::Range{.max = 9});
    f("small", small, "the one section");
  }
};

TEST(Help, ListsEveryKeyAligned) {
  Root root;
  root.small.all.text = std::string(40, 'x');
  EXPECT_EQ(help_text(base::fields_of(root)),
            "KEY                    TYPE              DEFAULT       ALLOWED                MEANING\n"
            "top                    integer           3             <= 9                   a key without a section\n"
            "\n"
            "small: the one section\n"
            "small.terms            list of sections                                       rewards that are added\n"
            "small.terms[].type     text              \"\"                                   which reward\n"
            "small.terms[].weight   number            1.0           > 0                    its weight\n"
            "small.all              section                                                one key of every type\n"
            "small.all.flag         boolean           false         true, false            a switch\n"
            "small.all.count        integer           4             >= 1                   how many\n"
            "small.all.rate         number            0.25          > 0                    how fast\n"
            "small.all.text         text              xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"
            "                                                                              what to say\n"
            "small.all.maybe_count  integer or null   null          >= 1                   how many at most\n"
            "small.all.maybe_rate   number or null    1.5           in [0, 10]             how fast at most\n"
            "small.all.auto_count   integer or auto   auto          >= 1                   how many tokens\n"
            "small.all.auto_rate    number or auto    2.5           > 0                    rotary base\n"
            "small.all.names        list of texts     [a, b]                               some names\n"
            "small.all.ids          list of integers  []            >= 0                   some numbers\n"
            "small.all.betas        list of numbers   [0.9, 0.999]  in (0, 1]              decay rates\n"
            "small.all.chat         text or mapping   auto                                 a template | or its parts\n"
            "small.all.color        choice            green         red, green, dark_blue  of the line\n"
            "small.all.inner        section                                                a section below\n"
            "small.all.inner.coef   number            0.5           >= 0                   a coefficient\n"
            "small.all.inner.limit  integer or null   null          >= 1                   a limit\n"
            "\n"
            "base: FILE at the top of a file inherits that file, relative to its own folder.\n");
}

TEST(Help, LeavesTheStructAsItWas) {
  Sample s;
  s.terms = {{"math", 2}};
  const Sample before = s;
  help_text(base::fields_of(s));
  to_markdown(base::fields_of(s));
  EXPECT_EQ(s, before);
}

TEST(Help, AnElementIsShownWithItsDefaultsNotTheCurrentValues) {
  Sample s;
  s.terms = {{"math", 2}};
  EXPECT_THAT(help_text(base::fields_of(s)), testing::HasSubstr("terms[].weight"));
  EXPECT_THAT(help_text(base::fields_of(s)), testing::Not(testing::HasSubstr("math")));
}

struct Document {
  int64_t top = 3;
  Inner inner;
  std::vector<Term> terms;
  struct Section {
    base::TextOrMap chat{.text = "auto", .map = {}};
    Inner below;
    Color color = Color::kRed;
    GRPO_FIELDS(f) {
      f("chat", chat, "a template | or its parts");
      f("below", below, "a section below");
      f("color", color, "of the line");
    }
  } section;
  GRPO_FIELDS(f) {
    f("top", top, "a key without a section");
    f("inner", inner, "the first section");
    f("terms", terms, "rewards that are added");
    f("section", section, "the last section");
  }
};

TEST(Markdown, HasATableForEachSection) {
  Document document;
  EXPECT_EQ(to_markdown(base::fields_of(document)),
            "| key | type | default | allowed | meaning |\n"
            "|---|---|---|---|---|\n"
            "| `top` | integer | `3` |  | a key without a section |\n"
            "\n"
            "## `inner`\n"
            "\n"
            "the first section\n"
            "\n"
            "| key | type | default | allowed | meaning |\n"
            "|---|---|---|---|---|\n"
            "| `inner.coef` | number | `0.5` | >= 0 | a coefficient |\n"
            "| `inner.limit` | integer or null | `null` | >= 1 | a limit |\n"
            "\n"
            "## `terms`\n"
            "\n"
            "rewards that are added\n"
            "\n"
            "| key | type | default | allowed | meaning |\n"
            "|---|---|---|---|---|\n"
            "| `terms[].type` | text | `\"\"` |  | which reward |\n"
            "| `terms[].weight` | number | `1.0` | > 0 | its weight |\n"
            "\n"
            "## `section`\n"
            "\n"
            "the last section\n"
            "\n"
            "| key | type | default | allowed | meaning |\n"
            "|---|---|---|---|---|\n"
            "| `section.chat` | text or mapping | `auto` |  | a template \\| or its parts |\n"
            "| `section.below` | section |  |  | a section below |\n"
            "| `section.below.coef` | number | `0.5` | >= 0 | a coefficient |\n"
            "| `section.below.limit` | integer or null | `null` | >= 1 | a limit |\n"
            "| `section.color` | choice | `red` | red, green, dark_blue | of the line |\n");
}

}  // namespace
}  // namespace grpo::config
