#include "config/node_reader.h"
#include "config/sample.h"

namespace grpo::config {
namespace {

using testing::ElementsAre;

class Override : public ConfigTest {
 protected:
  static std::string error_with(const std::string& text) {
    return error_of([&] { read("terms: [{type: math}, {type: format}]\n", {text}); });
  }
};

TEST_F(Override, SetsEveryType) {
  const Everything all =
      read_overrides({"all.flag=true", "all.count=1e2", "all.rate=1e-6", "all.text=a=b", "all.maybe_count=3",
                      "all.maybe_rate=null", "all.auto_count=auto", "all.auto_rate=1e6", "all.names=[a.jsonl,b.jsonl]",
                      "all.ids=[1, 2]", "all.betas=[0.5]", "all.chat={system: hi}", "all.color=red",
                      "all.inner.coef=2"})
          .all;
  Everything want;
  want.flag = true;
  want.count = 100;
  want.rate = 1e-6;
  want.text = "a=b";
  want.maybe_count = 3;
  want.maybe_rate = std::nullopt;
  want.auto_count.value = std::nullopt;
  want.auto_rate.value = 1e6;
  want.names = {"a.jsonl", "b.jsonl"};
  want.ids = {1, 2};
  want.betas = {0.5};
  want.chat = {.text = "", .map = {{"system", "hi"}}};
  want.color = Color::kRed;
  want.inner.coef = 2;
  EXPECT_EQ(all, want);
}

TEST_F(Override, OneTextStandsForAListOfIt) {
  EXPECT_THAT(read_overrides({"all.names=a b.jsonl"}).all.names, ElementsAre("a b.jsonl"));
}

// Without quotes this is a mapping in YAML, of problem to nothing.
TEST_F(Override, ABracedWordIsATextWhereOneIsMeant) {
  EXPECT_EQ(read_overrides({"all.chat={problem}"}).all.chat.text, "{problem}");
}

TEST_F(Override, NamesTheOwnKeyForOneOfAnotherTrainer) {
  EXPECT_THAT(error_with("all.num_generations=8"),
              ::testing::HasSubstr(
                  "all.num_generations: unknown key (what other trainers call so is here rollout.group_size)"));
  EXPECT_THAT(error_with("actor_rollout_ref.actor.kl_loss_coef=0"), ::testing::HasSubstr("algorithm.kl.coef"));
  EXPECT_THAT(error_with("+all.count=2"), ::testing::HasSubstr("write all.count=2"));
}

TEST_F(Override, TheLastOneWins) { EXPECT_EQ(read_overrides({"all.count=2", "all.count=3"}).all.count, 3); }

TEST_F(Override, ASectionIsMerged) {
  EXPECT_EQ(read_overrides({"all.inner.limit=4", "all.inner={coef: 9}"}).all.inner, (Inner{9, 4}));
}

TEST_F(Override, ReplacesAListOfSections) {
  EXPECT_THAT(read("terms: [{type: a}, {type: b}]\n", {"terms=[{type: math, weight: 3}]"}).terms,
              ElementsAre(Term{"math", 3}));
  EXPECT_THAT(read("terms: [{type: a}, {type: b}]\n", {"terms=[]"}).terms, testing::IsEmpty());
}

TEST_F(Override, ReachesIntoAListOfSections) {
  EXPECT_THAT(read("terms: [{type: a}, {type: b}]\n", {"terms.1.weight=2"}).terms,
              ElementsAre(Term{"a", 1}, Term{"b", 2}));
  EXPECT_EQ(read("plans: [{name: p}]\n", {"plans.0.inner.coef=7"}).plans.at(0).inner.coef, 7);
}

TEST_F(Override, AnEmptyTextIsQuoted) { EXPECT_EQ(read_overrides({"all.text=''"}).all.text, ""); }

TEST_F(Override, ErrorsNameTheCommandLine) {
  EXPECT_EQ(error_with("all.cuont=3"), "command line: all.cuont: unknown key (did you mean count?)");
  EXPECT_EQ(error_with("al.count=3"), "command line: al: unknown key (did you mean all?)");
  EXPECT_EQ(error_with("maybe_rate=3"), "command line: maybe_rate: unknown key (did you mean all.maybe_rate?)");
  EXPECT_EQ(error_with("all.count=0"), "command line: all.count: expected an integer >= 1, got 0");
  EXPECT_EQ(error_with("all.count="), "command line: all.count: expected an integer >= 1, got null");
  EXPECT_EQ(error_with("all.flag=on"), "command line: all.flag: expected true or false, got on");
  EXPECT_EQ(error_with("all.color=blue"), "command line: all.color: unknown value blue (known: red, green, dark_blue)");
  EXPECT_EQ(error_with("all.inner={ceof: 1}"), "command line: all.inner.ceof: unknown key (did you mean coef?)");
  EXPECT_EQ(error_with("base=b.yaml"), "command line: base: unknown key (known: all, terms, plans)");
}

TEST_F(Override, IsKeyEqualsValue) {
  EXPECT_EQ(error_with("all.count"), "command line: all.count: expected key=value, as optimizer.lr=1e-6");
  EXPECT_EQ(error_with("=3"), "command line: =3: expected key=value, as optimizer.lr=1e-6");
  EXPECT_EQ(error_with("all..count=3"),
            "command line: all.: unknown key (known: flag, count, rate, text, maybe_count, "
            "maybe_rate, auto_count, auto_rate, names, ids, betas, chat, color, inner)");
}

TEST_F(Override, KeysEndAtValues) {
  EXPECT_EQ(error_with("all.count.x=3"),
            "command line: all.count.x: all.count has no keys below it, it is one value (integer)");
  EXPECT_EQ(error_with("all=3"), "command line: all: expected a section (a mapping of keys), got 3");
}

TEST_F(Override, IndicesAreChecked) {
  EXPECT_EQ(error_with("terms.2.weight=3"),
            "command line: terms.2.weight: expected the index of one of 2 elements, got 2");
  EXPECT_EQ(error_with("terms.-1.weight=3"),
            "command line: terms.-1.weight: expected the index of one of 2 elements, got -1");
  EXPECT_EQ(error_with("terms.math.weight=3"),
            "command line: terms.math.weight: expected the index of one of 2 elements, got math");
  EXPECT_EQ(error_with("terms.0={type: a}"), "command line: terms.0: expected a key of this element after its index");
  EXPECT_EQ(error_with("terms.0.wieght=1"), "command line: terms.0.wieght: unknown key (did you mean weight?)");
}

TEST_F(Override, BrokenYamlAsksForQuotes) {
  EXPECT_EQ(error_with("all.names=[a"),
            "command line: all.names: not valid YAML: end of sequence flow not found (a text with special characters "
            "needs quotes: all.names='\"...\"')");
}

TEST_F(Override, NothingOfATextIsLostToYaml) {
  EXPECT_EQ(error_with("all.text=a #b"),
            "command line: all.text: of this text YAML reads only a; write it in quotes: all.text='\"...\"'");
  EXPECT_THAT(error_with("all.text=a\nb"), ::testing::HasSubstr("YAML reads only a b"));
  EXPECT_THAT(error_with("all.rate=1 # one"), ::testing::HasSubstr("YAML reads only 1;"));
  EXPECT_EQ(read_overrides({"all.text=' a #b '"}).all.text, " a #b ");
  EXPECT_EQ(read_overrides({"all.text= a#b "}).all.text, "a#b");
}

TEST_F(Override, OneFieldIsReadFromAFlagsText) {
  Everything all;
  const auto fields = base::fields_of(all);
  const auto read = [&](const std::string& name, const std::string& text) {
    read_field(*find_field(fields, name), "--" + name, text);
  };
  read("count", "1e2");
  read("color", "red");
  read("text", "{a: [b");  // what YAML would not read at all
  read("chat", "{problem}");
  EXPECT_EQ(all.count, 100);
  EXPECT_EQ(all.color, Color::kRed);
  EXPECT_EQ(all.text, "{a: [b");
  EXPECT_EQ(all.chat.text, "{problem}");
  EXPECT_THAT(error_of([&] { read("count", "many"); }), ::testing::HasSubstr("--count: expected an integer"));
  EXPECT_THAT(error_of([&] { read("color", "redd"); }),
              ::testing::HasSubstr("--color: unknown value redd (did you mean red?)"));
}

}  // namespace
}  // namespace grpo::config
