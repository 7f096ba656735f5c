#include <gmock/gmock.h>

#include "grpo/base/error.h"
#include "grpo/data/dataset.h"
#include "grpo/io/file.h"
#include "support/golden.h"
#include "support/message_of.h"

namespace grpo::data {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSubsetOf;
using ::testing::Not;

class TrainSets : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    io::write_file_atomic(dir_.path() / name, text);
    return (dir_.path() / name).string();
  }
  // Problems p<first>, p<first + 1>, ... of alternating levels 1 to 5.
  std::string numbered(const std::string& name, int first, int count) {
    std::string text;
    for (int i = first; i < first + count; ++i) {
      text += base::concat(R"({"problem":"p)", i, R"(","answer":")", i, R"(","level":)", i % 5 + 1,
                           R"(,"meta":{"tags":["t)", i % 3, "\"]}}\n");
    }
    return write(name, text);
  }
  std::vector<std::string> prompts() const {
    std::vector<std::string> all;
    for (const auto& problem : load_train_sets(config_).problems) all.push_back(problem.prompt);
    return all;
  }
  std::vector<std::string> prompts_where(const std::vector<std::string>& where) {
    config_.train[0].where = where;
    return prompts();
  }
  template <typename E = base::Error>
  std::string error() const {
    return testing::message_of<E>([&] { load_train_sets(config_); });
  }

  testing::TempDir dir_;
  DataConfig config_;
};

TEST_F(TrainSets, OfPathsAloneAreWhatTheFilesHoldInOrder) {
  config_.train = {numbered("a.jsonl", 0, 2), numbered("b.jsonl", 2, 1)};
  const auto loaded = load_train_sets(config_);
  EXPECT_THAT(prompts(), ElementsAre("p0", "p1", "p2"));
  EXPECT_EQ(loaded.problems[2].row, 2);
  EXPECT_EQ(loaded.problems[2].set, 1);
  EXPECT_EQ(loaded.problems[2].id, "0");
  EXPECT_THAT(loaded.problems[1].place, HasSubstr("a.jsonl:2"));
}

TEST_F(TrainSets, ChooseRowsByTheirFields) {
  config_.train = {numbered("a.jsonl", 0, 6)};  // levels 1 2 3 4 5 1, tags t0 t1 t2 t0 t1 t2
  EXPECT_THAT(prompts_where({"level >= 3"}), ElementsAre("p2", "p3", "p4"));
  EXPECT_THAT(prompts_where({"level > 3"}), ElementsAre("p3", "p4"));
  EXPECT_THAT(prompts_where({"level <= 2"}), ElementsAre("p0", "p1", "p5"));
  EXPECT_THAT(prompts_where({"level<2"}), ElementsAre("p0", "p5"));
  EXPECT_THAT(prompts_where({"level = 1 | 4.0"}), ElementsAre("p0", "p3", "p5"));
  EXPECT_THAT(prompts_where({"level != 1 | 2"}), ElementsAre("p2", "p3", "p4"));
  EXPECT_THAT(prompts_where({"level == 2"}), ElementsAre("p1"));
  EXPECT_THAT(prompts_where({"level >= 2", "level <= 4", "problem != p2"}), ElementsAre("p1", "p3"));
  EXPECT_THAT(prompts_where({"meta.tags = t0"}), ElementsAre("p0", "p3"));
  EXPECT_THAT(prompts_where({"meta.tags != t0"}), ElementsAre("p1", "p2", "p4", "p5"));
}

TEST_F(TrainSets, TellLongIdsApart) {
  config_.train = {write("a.jsonl",
                         "{\"problem\":\"p\",\"answer\":1,\"key\":1234567890123456789}\n"
                         "{\"problem\":\"q\",\"answer\":1,\"key\":1234567890123456790}\n")};
  EXPECT_THAT(prompts_where({"key = 1234567890123456789"}), ElementsAre("p"));
  EXPECT_THAT(prompts_where({"key != 1234567890123456789"}), ElementsAre("q"));
}

TEST_F(TrainSets, TakeAMissingFieldForNull) {
  config_.train = {write("a.jsonl", R"({"problem":"p","answer":1,"source":"aime"})"
                                    "\n"
                                    R"({"problem":"q","answer":1})"
                                    "\n")};
  EXPECT_THAT(prompts_where({"source != aime"}), ElementsAre("q"));
  EXPECT_THAT(prompts_where({"source = null"}), ElementsAre("q"));
  EXPECT_THAT(prompts_where({"source != null"}), ElementsAre("p"));
}

// What a filter leaves out need not be a problem at all.
TEST_F(TrainSets, DoNotReadWhatTheyLeaveOut) {
  config_.train = {write("a.jsonl", R"({"problem":"p","answer":1,"lang":"en"})"
                                    "\n"
                                    R"({"question":"q","lang":"de"})"
                                    "\n")};
  EXPECT_THAT(prompts_where({"lang = en"}), ElementsAre("p"));
}

TEST_F(TrainSets, NameWhatIsWrongWithACondition) {
  config_.train = {numbered("a.jsonl", 0, 6)};
  const auto error_of = [&](const std::string& where) {
    config_.train[0].where = {where};
    return error();
  };
  EXPECT_THAT(error_of("levle >= 3"), AllOf(HasSubstr("no row has the key levle"), HasSubstr("did you mean level?")));
  EXPECT_THAT(error_of("level"), HasSubstr("data.train: where: level: expected KEY"));
  EXPECT_THAT(error_of("level =! 3"), HasSubstr("expected KEY"));
  EXPECT_THAT(error_of("level >= high"), HasSubstr("expected KEY"));
  EXPECT_THAT(error_of("problem >= 3"),
              AllOf(HasSubstr("a.jsonl:1: problem is \"p0\""), HasSubstr("asks for a number")));
  EXPECT_THAT(error_of("level > 9"), HasSubstr("of 6 rows none is left: 6 do not meet where"));
}

TEST_F(TrainSets, NameTheNearestKeyOfAllRows) {
  config_.train = {write("a.jsonl", R"({"problem":"p","answer":1,"level":1})"
                                    "\n"
                                    R"({"problem":"q","answer":1})"
                                    "\n")};
  config_.train[0].where = {"levle >= 3"};
  EXPECT_THAT(error(), HasSubstr("did you mean level?"));
}

TEST_F(TrainSets, TakeASubsetThatItsOwnSeedChooses) {
  config_.train = {numbered("a.jsonl", 0, 100)};
  config_.train[0].take = 30;
  const auto thirty = load_train_sets(config_);
  ASSERT_EQ(thirty.problems.size(), 30U);
  EXPECT_EQ(thirty.counts[0].not_taken, 70);
  for (size_t i = 0; i < 30; ++i) {  // in file order, with the rows that they have without take
    EXPECT_EQ(thirty.problems[i].prompt, base::concat("p", thirty.problems[i].row));
    EXPECT_LT(i == 0 ? -1 : thirty.problems[i - 1].row, thirty.problems[i].row);
  }
  const auto first = prompts();
  config_.train[0].take = 10;
  EXPECT_THAT(prompts(), IsSubsetOf(first));
  config_.train[0].take = 30;
  config_.train[0].take_seed = 1;
  EXPECT_NE(prompts(), first);
  config_.train[0].take = 101;
  EXPECT_THAT(error<base::ConfigError>(), AllOf(HasSubstr("take 101"), HasSubstr("there are only 100")));
}

TEST_F(TrainSets, KeepTheRowNumbersOfFilesThatAreReadInPart) {
  config_.train = {numbered("a.jsonl", 0, 10), numbered("b.jsonl", 10, 10)};
  config_.train[0].take = 3;
  config_.train[1].where = {"level = 1"};
  const auto loaded = load_train_sets(config_);
  for (const auto& problem : loaded.problems) EXPECT_EQ(problem.prompt, base::concat("p", problem.row));
}

TEST_F(TrainSets, DropRepeatedProblemsWhereAskedToAndCountThemAnyway) {
  config_.train = {write("a.jsonl", "{\"problem\":\"p 1\",\"answer\":1}\n{\"problem\":\" p  1\\n\",\"answer\":1}\n"),
                   write("b.jsonl", "{\"problem\":\"p 1\",\"answer\":2}\n{\"problem\":\"P 1\",\"answer\":1}\n")};
  auto loaded = load_train_sets(config_);
  EXPECT_EQ(loaded.problems.size(), 4U);
  EXPECT_EQ(loaded.counts[0].duplicates, 1);
  EXPECT_EQ(loaded.counts[1].duplicates, 1);
  config_.duplicates = Duplicates::kDrop;
  EXPECT_THAT(prompts(), ElementsAre("p 1", "P 1"));
  EXPECT_EQ(load_train_sets(config_).problems[1].row, 3);
}

// A row that an earlier set has but did not take is no duplicate.
TEST_F(TrainSets, CompareWithWhatEarlierSetsHaveTaken) {
  config_.train = {numbered("a.jsonl", 0, 10), numbered("b.jsonl", 0, 10)};
  config_.train[0].take = 4;
  config_.duplicates = Duplicates::kDrop;
  const auto loaded = load_train_sets(config_);
  EXPECT_EQ(loaded.problems.size(), 10U);
  EXPECT_EQ(loaded.counts[1].duplicates, 4);
}

TEST_F(TrainSets, EndAtABadRowOrSkipAndNameIt) {
  const std::string good = "{\"problem\":\"p\",\"answer\":1}\n";
  config_.train = {write("a.jsonl", good + "{\"problem\":\n" + good + "{\"problme\":\"p\",\"answer\":1}\n[]\n" + good +
                                        "{\"problem\":\" \",\"answer\":1}\n")};
  EXPECT_THAT(error<base::IoError>(), HasSubstr("a.jsonl:2: not valid JSON"));
  config_.on_bad_row = OnBadRow::kSkip;
  const auto loaded = load_train_sets(config_);
  EXPECT_EQ(loaded.problems.size(), 3U);
  EXPECT_EQ(loaded.problems[2].row, 5);
  EXPECT_EQ(loaded.counts[0].rows, 7);
  EXPECT_THAT(loaded.counts[0].bad,
              ElementsAre(HasSubstr("a.jsonl:2: not valid JSON"), HasSubstr("a.jsonl:4: no key problem"),
                          HasSubstr("a.jsonl:5: expected one JSON object"), HasSubstr("a.jsonl:7: problem is empty")));
}

TEST_F(TrainSets, SkipBadRowsOfEveryFormat) {
  config_.on_bad_row = OnBadRow::kSkip;
  config_.train = {write("a.json", R"([1, {"problem":"p","answer":1}, {"problem":2,"answer":1}])"),
                   write("b.csv", "problem,answer\np,1\nq,2,3\nr,3\n")};
  const auto loaded = load_train_sets(config_);
  EXPECT_THAT(prompts(), ElementsAre("p", "p", "r"));
  EXPECT_THAT(loaded.counts[0].bad, ElementsAre(HasSubstr("a.json: row 0"), HasSubstr("a.json: row 2")));
  EXPECT_THAT(loaded.counts[1].bad, ElementsAre(HasSubstr("b.csv: row 1: has 3 values")));
}

// With a wrong key every row is bad; that is no set with many bad rows.
TEST_F(TrainSets, AreRefusedWhenNothingIsLeft) {
  config_.on_bad_row = OnBadRow::kSkip;
  config_.prompt_key = "question";
  config_.train = {numbered("a.jsonl", 0, 3)};
  EXPECT_THAT(error(), AllOf(HasSubstr("of 3 rows none is left"), HasSubstr("3 cannot be read, the first one: "),
                             HasSubstr("no key question")));
}

TEST_F(TrainSets, DoNotSkipWhatIsWrongWithAWholeFile) {
  config_.on_bad_row = OnBadRow::kSkip;
  config_.train = {(dir_.path() / "none.jsonl").string()};
  EXPECT_THAT(error(), HasSubstr("no such file"));
  config_.train = {write("a.jsonl.gz", "\x1F\x8B\x08 half")};
  EXPECT_THAT(error(), HasSubstr("a.jsonl.gz: not a whole .gz file"));
  config_.train = {write("a.csv", "problem,answer\n\"p,1\n")};
  EXPECT_THAT(error(), HasSubstr("not valid CSV"));
}

TEST(TrainSet, IsPlainWhenOnlyItsPathIsSaid) {
  TrainSet set("a.jsonl");
  EXPECT_TRUE(set.is_plain());
  set.take = 5;
  EXPECT_FALSE(set.is_plain());
}

}  // namespace
}  // namespace grpo::data
