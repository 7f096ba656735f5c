// Files that the trainer reads and that others may have written or damaged: a key that is missing or a value of another
// type is an error that names the file, and the line where it has lines.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/io/json.h"
#include "grpo/trainer/answer_store.h"
#include "support/golden.h"
#include "trainer/fork.h"
#include "trainer/recorded_step.h"
#include "trainer/time_plan.h"
#include "trainer/tiny_run.h"

namespace grpo::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class OutsideFiles : public ::testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& text) const {
    fs::create_directories((dir_.path() / name).parent_path());
    io::write_file_atomic(dir_.path() / name, text);
    return dir_.path() / name;
  }
  testing::TempDir dir_;
};

TEST_F(OutsideFiles, MetricsNameTheirLine) {
  const auto config = tiny_config(dir_.path());
  write("tiny/metrics.jsonl", "{\"step\":1,\"rollouts\":8}\n{\"rollouts\":8}\n");
  EXPECT_THAT([&] { step_counts(dir_.path() / "tiny"); },
              ThrowsMessage<base::IoError>(HasSubstr("metrics.jsonl:2: key 'step' not found")));
  write("tiny/metrics.jsonl", "{\"step\":1}\n{\"step\":2,\"rollouts\":\"many\"}\n");
  EXPECT_THAT([&] { step_counts(dir_.path() / "tiny"); },
              ThrowsMessage<base::IoError>(HasSubstr("metrics.jsonl:2: type must be number")));
  EXPECT_THAT([&] { measured_step_seconds(config); },
              ThrowsMessage<base::IoError>(HasSubstr("metrics.jsonl:2: type must be number")));
}

TEST_F(OutsideFiles, RolloutsNameTheirLine) {
  const auto file = write("step_00000001.jsonl", "{\"sample\":0}\n");
  EXPECT_THAT([&] { read_rollouts(file); }, ThrowsMessage<base::IoError>(HasSubstr("step_00000001.jsonl:1: not a")));
}

TEST_F(OutsideFiles, KeptAnswersNameTheirLine) {
  const std::string whole = R"({"set":"a","draw":0,"greedy":true,"prompt":"h","completions":[]})";
  for (const std::string wrong : {R"({"set":"a"})", R"({"set":1,"draw":0,"greedy":true,"prompt":"h","completions":[]})",
                                  R"({"set":"a","draw":0,"greedy":true,"prompt":"h","completions":[{"ids":[0]}]})",
                                  R"({"set":"a","draw":0,"greedy":true,"prompt":"h","completions":[7]})"}) {
    write("answers/id.jsonl", whole + "\n" + wrong + "\n");
    EXPECT_THAT([&] { AnswerStore(dir_.path() / "answers", "id"); },
                ThrowsMessage<base::IoError>(HasSubstr("answers/id.jsonl:2: ")))
        << wrong;
  }
}

TEST_F(OutsideFiles, TheRecordOfAForkNamesItsFile) {
  const auto run = tiny_config(dir_.path()).run;
  for (const std::string wrong :
       {R"({"forked_from":"elsewhere"})", R"({"forked_from":{}})", R"({"forked_from":{"checkpoint":1}})"}) {
    write("tiny/run.json", wrong);
    EXPECT_THAT([&] { check_fork_begun(run, "auto"); },
                ThrowsMessage<base::IoError>(HasSubstr("tiny/run.json: forked_from: ")))
        << wrong;
  }
}

}  // namespace
}  // namespace grpo::trainer
