#include "grpo/data/dataset.h"

#include <gmock/gmock.h>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "support/golden.h"
#include "support/message_of.h"

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
    return testing::message_of<base::IoError>([&] { load(name, text, prompt_key, answer_key); });
  }
  testing::TempDir dir_;
};

TEST_F(LoadProblems, ReadsJsonlAndJsonAlike) {
  const std::string first = R"({"problem": "1+1?", "answer": "2", "id": "x"})";
  const std::string second = R"({"problem": "2+2?", "answer": 4})";
  for (const auto& problems :
       {load("a.jsonl", first + "\n\n" + second + "\n"), load("a.json", "[" + first + "," + second + "]")}) {
    ASSERT_EQ(problems.size(), 2U);
    EXPECT_EQ(problems[0].prompt, "1+1?");
    EXPECT_EQ(problems[0].answers, std::vector<std::string>{"2"});
    EXPECT_EQ(problems[0].id, "x");
    EXPECT_EQ(problems[1].prompt, "2+2?");
    EXPECT_EQ(problems[1].answers, std::vector<std::string>{"4"});
    EXPECT_EQ(problems[1].id, "1");
  }
}

TEST_F(LoadProblems, KeepsTheFurtherKeysThatAreAskedFor) {
  const std::string rows = R"({"problem": "1+1?", "answer": "2", "level": 3, "extra": {"source": "book", "n": [1, 2]}})"
                           "\n"
                           R"({"problem": "2+2?", "answer": "4", "level": null, "extra": {"source": "web"}})";
  const auto problems = load_problems({write("a.jsonl", rows)}, "problem", "answer", {"level", "extra.source"});
  EXPECT_EQ(problems.at(0).fields, R"({"extra.source":"book","level":3})");
  EXPECT_EQ(problems.at(1).fields, R"({"extra.source":"web","level":null})");
  EXPECT_EQ(load("b.jsonl", rows).at(0).fields, "");
  const auto message = testing::message_of<base::IoError>(
      [&] { load_problems({write("c.jsonl", rows)}, "problem", "answer", {"levels"}); });
  EXPECT_THAT(message, ::testing::HasSubstr("levels"));
  EXPECT_THAT(message, ::testing::HasSubstr("did you mean level?"));
}

TEST_F(LoadProblems, KeepsWholeRowsWhereThatIsAskedFor) {
  const std::string row = R"row({"answer":"2","id":"x","problem":"1+1?","tests":[{"call":"f(1)","result":1.5}]})row";
  const auto problems = load_problems({write("a.jsonl", row)}, "problem", "answer", {}, /*whole_rows=*/true);
  EXPECT_EQ(problems.at(0).whole_row, row);
  EXPECT_EQ(problems.at(0).fields, "");
  EXPECT_EQ(load("b.jsonl", row).at(0).whole_row, "");
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
  const auto problems = load("a.jsonl", R"({"q": {"text": {"en": "p"}}, "reward_model": {"ground_truth": "a"}})",
                             "q.text.en", "reward_model.ground_truth");
  EXPECT_EQ(problems.at(0).prompt, "p");
  EXPECT_EQ(problems.at(0).answers, std::vector<std::string>{"a"});
}

TEST_F(LoadProblems, PrefersAKeyThatItselfHasDots) {
  EXPECT_EQ(load("a.jsonl", R"({"a.b": "flat", "a": {"b": "nested"}, "answer": "x"})", "a.b").at(0).prompt, "flat");
}

TEST_F(LoadProblems, KeepsAConversationWhole) {
  const std::string chat =
      R"([{"role":"system","content":"s"},{"role":"user","content":"first"},)"
      R"({"role":"assistant","content":"a"},{"role":"user","content":[{"type":"text","text":"la"},{"type":"text","text":"st"}]}])";
  const auto problem = load("a.jsonl", R"({"problem":)" + chat + R"(,"answer":"x"})").at(0);
  EXPECT_EQ(problem.prompt, "last");  // what names it
  EXPECT_EQ(problem.messages,
            (std::vector<Message>{{"system", "s"}, {"user", "first"}, {"assistant", "a"}, {"user", "last"}}));
  EXPECT_TRUE(load("b.jsonl", R"({"problem":"a text","answer":"x"})").at(0).messages.empty());
}

TEST_F(LoadProblems, ReadsTheOtherSpellingOfConversations) {
  const auto problem =
      load("a.jsonl", R"({"problem":[{"from":"human","value":"q"},{"from":"gpt","value":"<think>"}],"answer":"x"})")
          .at(0);
  EXPECT_EQ(problem.messages, (std::vector<Message>{{"user", "q"}, {"assistant", "<think>"}}));
}

// What a column of texts makes of a list.
TEST_F(LoadProblems, ReadsAConversationThatIsWrittenAsText) {
  const auto problem =
      load("a.csv", "problem,answer\n\"[{\"\"role\"\": \"\"user\"\", \"\"content\"\": \"\"q\"\"}]\",1\n").at(0);
  EXPECT_EQ(problem.messages, (std::vector<Message>{{"user", "q"}}));
  const auto other =
      load("o.csv", "problem,answer\n\"[{\"\"from\"\": \"\"human\"\", \"\"value\"\": \"\"q\"\"}]\",1\n").at(0);
  EXPECT_EQ(other.messages, (std::vector<Message>{{"user", "q"}}));
  EXPECT_THAT(error_of("p.jsonl", R"({"problem":"[{'from': 'human', 'value': 'q'}]","answer":"x"})"),
              HasSubstr("written as Python text"));
  EXPECT_THAT(error_of("b.jsonl", R"({"problem":"[{'role': 'user', 'content': 'q'}]","answer":"x"})"),
              HasSubstr("written as Python text"));
  EXPECT_TRUE(load("c.jsonl", R"({"problem":"[1, 2] has how many elements?","answer":"2"})").at(0).messages.empty());
  EXPECT_TRUE(load("d.jsonl", R"({"problem":"[1, 2]","answer":"2"})").at(0).messages.empty());
}

TEST_F(LoadProblems, NamesTheMessageItCannotRead) {
  const auto error = [&](const std::string& chat) {
    return error_of("b.jsonl", R"({"problem":)" + chat + R"(,"answer":"x"})");
  };
  EXPECT_THAT(error(R"([{"role":"system","content":"s"}])"),
              HasSubstr("b.jsonl:1: problem has no message with role \"user\""));
  EXPECT_THAT(error(R"([{"role":"user","content":"q"},{"role":"narrator","content":"s"}])"),
              HasSubstr("problem, message 1: role \"narrator\" is unknown"));
  EXPECT_THAT(error(R"([{"role":"user","content":[{"type":"image_url"}]}])"),
              HasSubstr("\"image_url\"; only texts are read"));
  EXPECT_THAT(error(R"([{"role":"user","content":null}])"), HasSubstr("content is null"));
  EXPECT_THAT(error(R"([{"role":"user","content":"q"},{"role":"assistant","content":"","tool_calls":[{"id":1}]}])"),
              HasSubstr("calls tools"));
  EXPECT_THAT(error(R"([{"content":"q"}])"), HasSubstr("has no role"));
}

// A double would turn these into other texts: the verifier must see what the author wrote.
TEST_F(LoadProblems, KeepsNumbersAsWritten) {
  const std::vector<std::string> numbers = {
      "2.50", "1e-3", "3.14159265358979323846264338327950288", "18446744073709551617", "-7", "0", "1.0"};
  for (const auto& number : numbers) {
    const std::string row = R"({"x": [1.5, {"y": -2.0}], "problem": "p", "answer": )" + number + R"(, "z": null})";
    EXPECT_EQ(load("a.jsonl", row).at(0).answers, std::vector<std::string>{number});
    EXPECT_EQ(load("a.json", "[{\"problem\":\"q\",\"answer\":1}," + row + "]").at(1).answers,
              std::vector<std::string>{number});
    EXPECT_EQ(load("a.jsonl", R"({"problem":"p","r":{"g":[)" + number + "]}}", "problem", "r.g").at(0).answers,
              std::vector<std::string>{number});
  }
}

TEST_F(LoadProblems, TakesSeveralRightAnswersFromAList) {
  using Answers = std::vector<std::string>;
  EXPECT_EQ(load("a.jsonl", R"({"problem":"p","answer":["42"]})").at(0).answers, Answers{"42"});
  EXPECT_EQ(load("a.jsonl", R"({"problem":"p","answer":["1/2", 0.50, null, " ", 3]})").at(0).answers,
            (Answers{"1/2", "0.50", "3"}));
}

TEST_F(LoadProblems, TakesNullForAMissingAnswer) {
  for (const char* answer : {"null", "[]", "[null]"}) {
    EXPECT_EQ(load("a.jsonl", std::string(R"({"problem":"p","answer":)") + answer + "}").at(0).answers,
              std::vector<std::string>{""})
        << answer;
  }
}

TEST_F(LoadProblems, NamesPlaceAndNearestKey) {
  const std::string good = "{\"problem\":\"p\",\"answer\":\"a\"}\n";
  EXPECT_THAT(error_of("a.jsonl", good + "\n{\"problme\":\"p\",\"answer\":\"a\"}"),
              HasSubstr("a.jsonl:3: no key problem (did you mean problme?)"));
  EXPECT_THAT(error_of("a.jsonl", "{\"question\":\"p\",\"gold\":\"a\"}"),
              HasSubstr("no key problem (known: gold, question)"));
  EXPECT_THAT(error_of("a.json", "[{\"problem\":\"p\",\"answer\":\"a\"},{\"problem\":\"p\"}]"),
              HasSubstr("a.json: row 1: no key answer"));
  EXPECT_THAT(error_of("a.jsonl", R"({"problem":"p","r":{"ground_truht":"a"}})", "problem", "r.ground_truth"),
              HasSubstr("a.jsonl:1: r: no key ground_truth (did you mean ground_truht?)"));
  EXPECT_THAT(error_of("a.jsonl", R"({"problem":"p","r":"a"})", "problem", "r.g"),
              HasSubstr("r: is string, expected an object"));
}

TEST_F(LoadProblems, NamesWrongTypes) {
  EXPECT_THAT(error_of("a.jsonl", R"({"problem":3,"answer":"a"})"), HasSubstr("problem is number, expected a string"));
  EXPECT_THAT(error_of("a.jsonl", R"({"problem":"p","answer":true})"),
              HasSubstr("answer is boolean, expected a string or a number"));
  EXPECT_THAT(error_of("a.jsonl", R"({"problem":" \n","answer":"a"})"), HasSubstr("a.jsonl:1: problem is empty"));
  EXPECT_THAT(error_of("a.jsonl", R"({"problem":"p","answer":"a","id":[1]})"), HasSubstr("id is array"));
}

TEST_F(LoadProblems, RefusesFilesThatHoldNoProblems) {
  EXPECT_THAT(error_of("a.jsonl", "\n"), HasSubstr("a.jsonl: holds no problem"));
  EXPECT_THAT(error_of("a.json", "[]"), HasSubstr("a.json: holds no problem"));
  EXPECT_THAT(error_of("a.json", "{}"), HasSubstr("not a JSON array of objects"));
  EXPECT_THAT(error_of("a.json", "[1]"), HasSubstr("row 0: expected an object, found number"));
  EXPECT_THAT(error_of("a.txt", "x"), HasSubstr("a.txt: unknown ending"));
  EXPECT_THAT(error_of("a.csv", ""), HasSubstr("a.csv: is empty"));
}

TEST_F(LoadProblems, ReadsCsvWithQuotesLineBreaksAndAByteOrderMark) {
  const std::string text = "\xEF\xBB\xBFproblem,answer,id\r\n\"one, \"\"two\"\"\nthree\",007,a\r\nq,,b\r\n";
  const auto problems = load("a.csv", text);
  ASSERT_EQ(problems.size(), 2U);
  EXPECT_EQ(problems[0].prompt, "one, \"two\"\nthree");
  EXPECT_EQ(problems[0].answers, std::vector<std::string>{"007"});
  EXPECT_EQ(problems[1].answers, std::vector<std::string>{""});
  EXPECT_EQ(problems[1].id, "b");
}

TEST_F(LoadProblems, NamesTheCsvRowThatDoesNotFit) {
  EXPECT_THAT(error_of("a.csv", "problem,answer\np,1\nq,2,3\n"),
              HasSubstr("a.csv: row 1: has 3 values, the first line names 2 columns"));
  EXPECT_THAT(error_of("a.csv", "problem,answer\n\"p,1\n"), HasSubstr("not valid CSV"));
  EXPECT_EQ(load("a.csv", ",problem,answer,,\n0,p,1,,\n").at(0).answers.at(0), "1");  // columns without a name
  EXPECT_THAT(error_of("a.csv", "problem,answer,answer\np,1,2\n"), HasSubstr("a.csv: two columns are called answer"));
}

// As RFC 4180 asks; a prompt may end in a space on purpose.
TEST_F(LoadProblems, KeepsTheSpacesOfCsvValues) {
  const auto problem = load("a.csv", "problem,answer\n def f(x): , 8 \n").at(0);
  EXPECT_EQ(problem.prompt, " def f(x): ");
  EXPECT_EQ(problem.answers.at(0), " 8 ");
}

TEST_F(LoadProblems, RefusesCsvThatIsNotUtf8) {
  EXPECT_THAT(error_of("a.csv", "problem,answer\np,1\ncaf\xE9,2\n"), HasSubstr("a.csv: row 1: problem is not UTF-8"));
  EXPECT_THAT(error_of("a.csv", "problem,answer,caf\xE9\np,1,x\n"), HasSubstr("a.csv: row 0: "));
}

// datasets.to_json writes this.
TEST_F(LoadProblems, ReadsOneObjectALineWhateverTheNameSays) {
  const auto problems = load("a.json", "{\"problem\":\"p\",\"answer\":1.50}\n{\"problem\":\"q\",\"answer\":2}\n");
  ASSERT_EQ(problems.size(), 2U);
  EXPECT_EQ(problems[0].answers, std::vector<std::string>{"1.50"});
}

TEST_F(LoadProblems, SaysWhatAFileIsThatItCannotRead) {
  EXPECT_THAT(error_of("a.jsonl", std::string("\xFF\xFE{\0\"\0", 6)), HasSubstr("UTF-16"));
  EXPECT_THAT(error_of("a.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
              HasSubstr("git lfs pull"));
  EXPECT_THAT(error_of("a.jsonl", "\x1F\x8B\x08 compressed"), HasSubstr(".gz"));
  EXPECT_THAT(error_of("a.json", "<!DOCTYPE html><html>"), HasSubstr("a web page"));
}

TEST(DataConfig, ListsTheKeysOfTheConfiguration) {
  DataConfig config;
  std::vector<std::string> names;
  const auto fields = base::fields_of(config);
  for (const auto& field : fields.list()) names.push_back(field.name);
  EXPECT_THAT(names, ::testing::ElementsAre("train", "prompt_key", "answer_key", "chosen_key", "rejected_key",
                                            "extra_keys", "system", "epochs", "order", "shuffle", "max_prompt_tokens",
                                            "on_bad_row", "duplicates", "allow_special_tokens"));
}

}  // namespace
}  // namespace grpo::data
