#include <gmock/gmock.h>

#include "grpo/base/error.h"
#include "grpo/data/dataset.h"
#include "grpo/io/file.h"
#include "support/golden.h"
#include "support/message_of.h"

namespace grpo::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Preferences : public ::testing::Test {
 protected:
  std::vector<Problem> load(const std::string& rows, const std::string& name = "pairs.jsonl") {
    io::write_file_atomic(dir_.path() / name, rows + "\n");
    config_.train = {(dir_.path() / name).string()};
    return load_train_sets(config_, RowKind::kPreference).problems;
  }
  std::string error_of(const std::string& row) {
    return testing::message_of<base::IoError>([&] { load(row); });
  }

  testing::TempDir dir_;
  DataConfig config_;
};

const Message kAsk{"user", "1+1?"};

TEST_F(Preferences, AreReadFromTheColumnsOfOtherTrainers) {
  for (
      const char* row : {
          R"({"prompt": "1+1?", "chosen": "2", "rejected": "3"})",
          R"({"problem": "1+1?", "chosen": "2", "rejected": "3"})",
          R"({"prompt": "1+1?", "chosen": [{"role": "assistant", "content": "2"}], "rejected": [{"role": "assistant", "content": "3"}]})",
      }) {
    const auto problem = load(row).front();
    EXPECT_EQ(problem.prompt, "1+1?") << row;
    EXPECT_TRUE(problem.messages.empty()) << row;
    EXPECT_THAT(problem.answers, ElementsAre("2")) << row;
    EXPECT_EQ(problem.rejected, "3") << row;
  }
}

TEST_F(Preferences, HaveConversationsWhosePromptIsTheirCommonBeginning) {
  const std::string chosen =
      R"("chosen": [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}])";
  const std::string rejected =
      R"("rejected": [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "3"}])";
  for (const auto& prompt : {std::string(), std::string(R"("prompt": "1+1?", )"),
                             std::string(R"("prompt": [{"role": "user", "content": "1+1?"}], )")}) {
    const auto problem = load("{" + prompt + chosen + ", " + rejected + "}").front();
    EXPECT_EQ(problem.prompt, "1+1?") << prompt;
    EXPECT_THAT(problem.messages, ElementsAre(kAsk)) << prompt;
    EXPECT_THAT(problem.answers, ElementsAre("2")) << prompt;
    EXPECT_EQ(problem.rejected, "3") << prompt;
  }
  // The same completion twice is still a completion: the last message of each.
  const auto same = load("{" + chosen + R"(, "rejected": [{"role": "user", "content": "1+1?"}, )" +
                         R"({"role": "assistant", "content": "2"}]})")
                        .front();
  EXPECT_THAT(same.messages, ElementsAre(kAsk));
  EXPECT_EQ(same.rejected, "2");
}

TEST_F(Preferences, KeepAllTurnsBeforeTheLast) {
  const std::string turns =
      R"({"role": "system", "content": "s"}, {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}, )";
  const auto problem = load(R"({"chosen": [)" + turns + R"({"role": "assistant", "content": "d"}], "rejected": [)" +
                            turns + R"({"role": "assistant", "content": "e"}]})")
                           .front();
  EXPECT_EQ(problem.messages.size(), 4u);
  EXPECT_EQ(problem.prompt, "c");
}

TEST_F(Preferences, AreReadFromCsvAsTextsAndLists) {
  const auto problems = load(
      "prompt,chosen,rejected\n1+1?,2,3\n"
      "2+2?,\"[{\"\"role\"\": \"\"assistant\"\", \"\"content\"\": \"\"4\"\"}]\",\"[{\"\"role\"\": \"\"assistant\"\", "
      "\"\"content\"\": \"\"5\"\"}]\"",
      "pairs.csv");
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_EQ(problems[0].rejected, "3");
  EXPECT_THAT(problems[1].answers, ElementsAre("4"));
  EXPECT_EQ(problems[1].rejected, "5");
}

TEST_F(Preferences, OfOtherKeysAreNamedByTheConfiguration) {
  config_.prompt_key = "ask.text";
  config_.chosen_key = "good";
  config_.rejected_key = "bad";
  EXPECT_EQ(load(R"({"ask": {"text": "q"}, "good": "a", "bad": "b"})").front().prompt, "q");
}

TEST_F(Preferences, ThatCannotBeReadSayWhy) {
  EXPECT_THAT(error_of(R"({"prompt": "q", "chosen": "a"})"), HasSubstr("pairs.jsonl:1: no key rejected"));
  EXPECT_THAT(error_of(R"({"chosen": "a b", "rejected": "a c"})"), HasSubstr("no conversations that begin alike"));
  EXPECT_THAT(error_of(R"({"prompt": "q", "chosen": 2, "rejected": "3"})"), HasSubstr("chosen is number"));
  EXPECT_THAT(error_of(R"({"prompt": "q", "chosen": [], "rejected": "3"})"), HasSubstr("chosen is an empty list"));
  const std::string other = R"("chosen": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "a"}], )"
                            R"("rejected": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "b"}])";
  EXPECT_THAT(error_of(R"({"prompt": "q", )" + other + "}"), HasSubstr("prompt is not what the conversations"));
  EXPECT_THAT(error_of(R"({"prompt": "q", "chosen": [{"role": "user", "content": "a"}], "rejected": "b"})"),
              HasSubstr("chosen ends in a message of the user"));
  EXPECT_THAT(
      error_of(
          R"({"prompt": "q", "chosen": [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}], "rejected": "b"})"),
      HasSubstr("chosen has 2 messages"));
}

TEST_F(Preferences, OfOnePromptAreNoDuplicates) {
  config_.duplicates = Duplicates::kDrop;
  const std::string rows = R"({"prompt": "q", "chosen": "a", "rejected": "b"}
{"prompt": "q", "chosen": "a", "rejected": "c"}
{"prompt": "q", "chosen": "a", "rejected": "b"})";
  EXPECT_EQ(load(rows).size(), 2u);
}

TEST_F(Preferences, BadRowsAreLeftOutWhereThatIsAskedFor) {
  config_.on_bad_row = OnBadRow::kSkip;
  EXPECT_EQ(load("{\"prompt\": \"q\"}\n{\"prompt\": \"q\", \"chosen\": \"a\", \"rejected\": \"b\"}").size(), 1u);
}

}  // namespace
}  // namespace grpo::data
