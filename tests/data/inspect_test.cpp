#include "grpo/data/inspect.h"

#include <gmock/gmock.h>

#include "grpo/data/duplicates.h"
#include "grpo/io/file.h"
#include "support/golden.h"

namespace grpo::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class InspectFile : public ::testing::Test {
 protected:
  SeenFile inspect(const std::string& name, const std::string& text, const std::string& prompt_key = "",
                   const std::string& answer_key = "") {
    io::write_file_atomic(dir_.path() / name, text);
    return inspect_file((dir_.path() / name).string(), prompt_key, answer_key);
  }
  testing::TempDir dir_;
};

TEST_F(InspectFile, ListsFieldsWithTheirKinds) {
  const auto seen = inspect("a.jsonl", R"({"question":"q","answer":1,"meta":{"ok":true,"tags":[1]}})"
                                       "\n"
                                       R"({"question":"r","answer":"2","extra":null})"
                                       "\n");
  EXPECT_EQ(seen.rows, 2);
  std::vector<std::string> texts;
  for (const auto& field : seen.fields) {
    std::string text = field.name + " " + std::to_string(field.rows);
    for (const auto& kind : field.kinds) text += " " + kind;
    texts.push_back(text);
  }
  EXPECT_THAT(texts, ::testing::UnorderedElementsAre("question 2 text", "answer 2 number text",
                                                     "meta.ok 1 true or false", "meta.tags 1 list", "extra 1 null"));
  EXPECT_EQ(seen.prompt_key, "question");
  EXPECT_EQ(seen.answer_key, "answer");
  EXPECT_EQ(seen.problems.size(), 2U);
}

TEST_F(InspectFile, GuessesTheKeysOfOtherTrainersFiles) {
  const auto verl =
      inspect("a.json", R"([{"prompt":[{"role":"user","content":"q"}],"reward_model":{"ground_truth":"7"}}])");
  EXPECT_EQ(verl.prompt_key, "prompt");
  EXPECT_EQ(verl.answer_key, "reward_model.ground_truth");
  EXPECT_EQ(verl.problems.at(0).prompt, "q");
  EXPECT_EQ(verl.fields.at(0).kinds, std::vector<std::string>{"chat"});
  const auto math = inspect("b.csv", "problem,level,solution\np,3,s\n");
  EXPECT_EQ(math.prompt_key, "problem");
  EXPECT_EQ(math.answer_key, "solution");
}

TEST_F(InspectFile, TakesTheKeysItIsGiven) {
  const auto seen = inspect("a.csv", "problem,text,answer,gold\np,t,1,2\n", "text", "gold");
  EXPECT_EQ(seen.problems.at(0).prompt, "t");
  EXPECT_EQ(seen.problems.at(0).answers, std::vector<std::string>{"2"});
}

TEST_F(InspectFile, GoesOnWithoutAnswersOrProblems) {
  const auto unanswered = inspect("a.csv", "problem,level\np,1\n");
  EXPECT_EQ(unanswered.answer_key, "");
  EXPECT_EQ(unanswered.problems.at(0).answers, std::vector<std::string>{""});
  const auto unknown = inspect("b.csv", "x,y\np,1\n");
  EXPECT_EQ(unknown.prompt_key, "");
  EXPECT_THAT(unknown.problems, IsEmpty());
  EXPECT_EQ(unknown.fields.size(), 2U);
}

constexpr const char* kConversations =
    R"({"chosen":[{"role":"user","content":"1+1"},{"role":"assistant","content":"2"}],)"
    R"("rejected":[{"role":"user","content":"1+1"},{"role":"assistant","content":"3"}],"score":4})";

TEST_F(InspectFile, ReadsPairsAsTheMethodThatLearnsFromThemDoes) {
  const auto within = inspect("a.jsonl", kConversations);
  EXPECT_THAT(within.bad, IsEmpty());
  EXPECT_EQ(within.prompt_key, "");
  EXPECT_EQ(within.chosen_key, "chosen");
  EXPECT_EQ(within.rejected_key, "rejected");
  ASSERT_EQ(within.problems.size(), 1U);
  EXPECT_EQ(within.problems[0].prompt, "1+1");
  EXPECT_EQ(within.problems[0].answers, std::vector<std::string>{"2"});
  EXPECT_EQ(within.problems[0].rejected, "3");
  const auto beside = inspect("b.csv", "question,chosen,rejected\n1+1,2,3\n");
  EXPECT_EQ(beside.prompt_key, "question");
  EXPECT_EQ(beside.problems.at(0).rejected, "3");
  // A field that repeats one of the conversations, as some sets have, is not the question.
  const std::string text = kConversations;
  const auto repeated = inspect("c.jsonl", R"({"messages":[{"role":"user","content":"other"}],)" + text.substr(1));
  EXPECT_EQ(repeated.prompt_key, "");
  EXPECT_THAT(repeated.bad, IsEmpty());
}

TEST_F(InspectFile, NamesWhatIsNoPairAndTakesProblemsWithAnswersForProblems) {
  const auto lost = inspect("a.jsonl", R"({"chosen":"2","rejected":"3"})");
  EXPECT_THAT(lost.bad, ElementsAre(HasSubstr("a.jsonl:1: no key problem and none called prompt")));
  const auto answered = inspect("b.csv", "problem,answer,chosen,rejected\np,2,c,r\n");
  EXPECT_EQ(answered.chosen_key, "");
  EXPECT_EQ(answered.problems.at(0).answers, std::vector<std::string>{"2"});
  const auto asked = inspect("c.csv", "prompt,chosen,rejected\np,c,r\n", "prompt", "chosen");
  EXPECT_EQ(asked.chosen_key, "");
  EXPECT_EQ(asked.problems.at(0).answers, std::vector<std::string>{"c"});
}

TEST_F(InspectFile, NamesBadRowsAndReadsTheOthers) {
  const auto seen = inspect("a.jsonl", "{\"problem\":\"p\",\"answer\":1}\nnot json\n{\"problem\":\"\",\"answer\":2}\n");
  EXPECT_EQ(seen.rows, 3);
  EXPECT_EQ(seen.problems.size(), 1U);
  EXPECT_THAT(seen.bad, ElementsAre(HasSubstr("a.jsonl:2"), HasSubstr("a.jsonl:3: problem is empty")));
}

TEST(FindDuplicates, ComparesTextsUpToWhiteSpaceAndSeesOtherAnswers) {
  const std::vector<Problem> problems = {{.id = {}, .file = {}, .prompt = "a b", .answers = {"1"}},
                                         {.id = {}, .file = {}, .prompt = "a  b\n", .answers = {"1"}},
                                         {.id = {}, .file = {}, .prompt = "ab", .answers = {"1"}},
                                         {.id = {}, .file = {}, .prompt = " a b", .answers = {"2"}}};
  const auto found = find_duplicates(problems);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].problem, 1U);
  EXPECT_FALSE(found[0].other_answer);
  EXPECT_EQ(found[1].problem, 3U);
  EXPECT_EQ(found[1].first, 0U);
  EXPECT_TRUE(found[1].other_answer);
}

TEST(FindDuplicates, ComparesAllTurnsOfConversations) {
  const std::vector<Problem> problems = {
      {.id = {}, .file = {}, .prompt = "q", .messages = {{"system", "s"}, {"user", "q"}}},
      {.id = {}, .file = {}, .prompt = "q", .messages = {{"system", "t"}, {"user", "q"}}},
      {.id = {}, .file = {}, .prompt = "q", .messages = {{"system", "s"}, {"user", "q"}}}};
  ASSERT_EQ(find_duplicates(problems).size(), 1U);
  EXPECT_EQ(find_duplicates(problems)[0].problem, 2U);
}

}  // namespace
}  // namespace grpo::data
