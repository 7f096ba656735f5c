#include "grpo/data/dataset.h"

#include <gmock/gmock.h>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "support/golden.h"

namespace grpo::data {
namespace {

using ::testing::HasSubstr;

class LoadProblems : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    io::write_file_atomic(dir_.path() / name, text);
    return (dir_.path() / name).string();
  }
  std::vector<Problem> load(const std::string& name, const std::string& text, const std::string& prompt_key = "problem",
                            const std::string& answer_key = "answer") {
    return load_problems({write(name, text)}, prompt_key, answer_key);
  }
  std::string error_of(const std::string& name, const std::string& text, const std::string& prompt_key = "problem",
                       const std::string& answer_key = "answer") {
    try {
      load(name, text, prompt_key, answer_key);
    } catch (const base::IoError& error) {
      return error.what();
    }
    return "no error";
  }
  testing::TempDir dir_;
};

TEST_F(LoadProblems, ReadsJsonlAndJsonAlike) {
  const std::string first = R"({"problem": "1+1?", "answer": "2", "id": "x"})";
  const std::string second = R"({"problem": "2+2?", "answer": 4})";
  for (const auto& problems : {load("a.jsonl", first + "\n\n" + second + "\n"), load("a.json", "[" + first + "," + second + "]")}) {
    ASSERT_EQ(problems.size(), 2U);
    EXPECT_EQ(problems[0].prompt, "1+1?");
    EXPECT_EQ(problems[0].answer, "2");
    EXPECT_EQ(problems[0].id, "x");
    EXPECT_EQ(problems[1].prompt, "2+2?");
    EXPECT_EQ(problems[1].answer, "4");
    EXPECT_EQ(problems[1].id, "1");
  }
}

TEST_F(LoadProblems, NumbersRowsThroughAllFiles) {
  const auto a = write("a.jsonl", "{\"problem\":\"p0\",\"answer\":\"0\"}\n{\"problem\":\"p1\",\"answer\":\"1\"}\n");
  const auto b = write("b.json", "[{\"problem\":\"p2\",\"answer\":\"2\"}]");
  const auto problems = load_problems({a, b}, "problem", "answer");
  ASSERT_EQ(problems.size(), 3U);
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(problems[static_cast<size_t>(i)].row, i);
    EXPECT_EQ(problems[static_cast<size_t>(i)].prompt, "p" + std::to_string(i));
  }
  EXPECT_EQ(problems[1].file, a);
  EXPECT_EQ(problems[2].file, b);
  EXPECT_EQ(problems[2].id, "0");  // the number in its own file
}

TEST_F(LoadProblems, EntersNestedObjectsByDots) {
  const auto problems = load("a.jsonl", R"({"q": {"text": {"en": "p"}}, "reward_model": {"ground_truth": "a"}})", "q.text.en",
                             "reward_model.ground_truth");
  EXPECT_EQ(problems.at(0).prompt, "p");
  EXPECT_EQ(problems.at(0).answer, "a");
}

TEST_F(LoadProblems, PrefersAKeyThatItselfHasDots) {
  EXPECT_EQ(load("a.jsonl", R"({"a.b": "flat", "a": {"b": "nested"}, "answer": "x"})", "a.b").at(0).prompt, "flat");
}

TEST_F(LoadProblems, TakesTheLastUserMessageOfAChat) {
  const std::string chat = R"([{"role":"system","content":"s"},{"role":"user","content":"first"},)"
                           R"({"role":"assistant","content":"a"},{"role":"user","content":"last"}])";
  EXPECT_EQ(load("a.jsonl", R"({"problem":)" + chat + R"(,"answer":"x"})").at(0).prompt, "last");
  EXPECT_THAT(error_of("b.jsonl", R"({"problem":[{"role":"system","content":"s"}],"answer":"x"})"),
              HasSubstr("b.jsonl:1: problem has no message with role \"user\""));
}

// A double would turn these into other texts: the verifier must see what the author wrote.
TEST_F(LoadProblems, KeepsNumbersAsWritten) {
  const std::vector<std::string> numbers = {"2.50", "1e-3", "3.14159265358979323846264338327950288", "18446744073709551617", "-7", "0",
                                            "1.0"};
  for (const auto& number : numbers) {
    const std::string row = R"({"x": [1.5, {"y": -2.0}], "problem": "p", "answer": )" + number + R"(, "z": null})";
    EXPECT_EQ(load("a.jsonl", row).at(0).answer, number);
    EXPECT_EQ(load("a.json", "[{\"problem\":\"q\",\"answer\":1}," + row + "]").at(1).answer, number);
    EXPECT_EQ(load("a.jsonl", R"({"problem":"p","r":{"g":[)" + number + "]}}", "problem", "r.g").at(0).answer, number);
  }
}

TEST_F(LoadProblems, TakesTheAnswerOutOfAListOfOne) {
  EXPECT_EQ(load("a.jsonl", R"({"problem":"p","answer":["42"]})").at(0).answer, "42");
  EXPECT_THAT(error_of("a.jsonl", R"({"problem":"p","answer":["1","2"]})"), HasSubstr("answer is a list of 2, expected one answer"));
  EXPECT_THAT(error_of("a.jsonl", R"({"problem":"p","answer":[]})"), HasSubstr("answer is a list of 0"));
}

TEST_F(LoadProblems, NamesPlaceAndNearestKey) {
  const std::string good = "{\"problem\":\"p\",\"answer\":\"a\"}\n";
  EXPECT_THAT(error_of("a.jsonl", good + "\n{\"problme\":\"p\",\"answer\":\"a\"}"),
              HasSubstr("a.jsonl:3: no key problem (did you mean problme?)"));
  EXPECT_THAT(error_of("a.jsonl", "{\"question\":\"p\",\"gold\":\"a\"}"), HasSubstr("no key problem (known: gold, question)"));
  EXPECT_THAT(error_of("a.json", "[{\"problem\":\"p\",\"answer\":\"a\"},{\"problem\":\"p\"}]"), HasSubstr("a.json: row 1: no key answer"));
  EXPECT_THAT(error_of("a.jsonl", R"({"problem":"p","r":{"ground_truht":"a"}})", "problem", "r.ground_truth"),
              HasSubstr("a.jsonl:1: r: no key ground_truth (did you mean ground_truht?)"));
  EXPECT_THAT(error_of("a.jsonl", R"({"problem":"p","r":"a"})", "problem", "r.g"), HasSubstr("r: is string, expected an object"));
}

TEST_F(LoadProblems, NamesWrongTypes) {
  EXPECT_THAT(error_of("a.jsonl", R"({"problem":3,"answer":"a"})"), HasSubstr("problem is number, expected a string"));
  EXPECT_THAT(error_of("a.jsonl", R"({"problem":"p","answer":true})"), HasSubstr("answer is boolean, expected a string or a number"));
  EXPECT_THAT(error_of("a.jsonl", R"({"problem":"p","answer":null})"), HasSubstr("answer is null"));
  EXPECT_THAT(error_of("a.jsonl", R"({"problem":" \n","answer":"a"})"), HasSubstr("a.jsonl:1: problem is empty"));
  EXPECT_THAT(error_of("a.jsonl", R"({"problem":"p","answer":"a","id":[1]})"), HasSubstr("id is array"));
}

TEST_F(LoadProblems, RefusesFilesThatHoldNoProblems) {
  EXPECT_THAT(error_of("a.jsonl", "\n"), HasSubstr("a.jsonl: holds no problem"));
  EXPECT_THAT(error_of("a.json", "[]"), HasSubstr("a.json: holds no problem"));
  EXPECT_THAT(error_of("a.json", "{}"), HasSubstr("not a JSON array of objects"));
  EXPECT_THAT(error_of("a.json", "[1]"), HasSubstr("row 0: expected an object, found number"));
  EXPECT_THAT(error_of("a.csv", "x"), HasSubstr("a.csv: unknown ending"));
}

TEST(DataConfig, ListsTheKeysOfTheConfiguration) {
  DataConfig config;
  std::vector<std::string> names;
  const auto fields = base::fields_of(config);
  for (const auto& field : fields.list()) names.push_back(field.name);
  EXPECT_THAT(names, ::testing::ElementsAre("train", "prompt_key", "answer_key", "epochs", "shuffle", "max_prompt_tokens"));
}

}  // namespace
}  // namespace grpo::data
