// What may change when a run continues, what may not, and the new run that goes on from a checkpoint (--fork).
#include "trainer/resume_rules.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/config/config.h"
#include "grpo/io/file.h"
#include "grpo/io/json.h"
#include "support/message_of.h"
#include "support/paths.h"
#include "trainer/tiny_run.h"

namespace grpo::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class ResumeRules : public ::testing::Test {
 protected:
  void SetUp() override {
    base::set_quiet(true);
    config_.trainer.steps = 2;
    config_.rollout.max_new_tokens = 8;
  }

  void run(TrainOptions options = {}) { EXPECT_EQ(train(config_, options), Outcome::kFinished); }
  std::string error(TrainOptions options = {}) {
    return testing::message_of<base::Error>([&] { train(config_, options); });
  }
  std::string warnings(TrainOptions options = {}) {
    base::set_quiet(false);
    ::testing::internal::CaptureStderr();
    run(options);
    base::set_quiet(true);
    return ::testing::internal::GetCapturedStderr();
  }
  fs::path copied(const fs::path& from, const std::string& name) {
    fs::copy(from, dir_.path() / name, fs::copy_options::recursive);
    return dir_.path() / name;
  }

  testing::TempDir dir_;
  TrainConfig config_ = tiny_config(dir_.path() / "runs");
};

TEST_F(ResumeRules, ListOnlyKeysThatExist) {
  const std::string yaml = "\n" + config::to_yaml(base::fields_of(config_));
  for (const auto& [prefix, why] : free_keys()) {
    EXPECT_FALSE(why.empty()) << prefix;
    const auto dot = prefix.find('.');
    EXPECT_THAT(yaml, HasSubstr("\n" + std::string(prefix.substr(0, dot)) + ":")) << prefix;
    if (dot + 1 < prefix.size()) {
      const auto name = prefix.substr(dot + 1);  // for a key of elements of a list, terms[].retries, the list counts
      EXPECT_THAT(yaml, HasSubstr("\n  " + std::string(name.substr(0, name.find("[]"))) + ":")) << prefix;
    }
  }
}

TEST_F(ResumeRules, AreInTheQuestionsOfUsers) {
  const std::string faq = io::read_file(testing::source_dir() / "docs" / "faq.md");
  for (const auto& free : free_keys())
    EXPECT_THAT(faq, HasSubstr("`" + std::string(free.prefix) + (free.prefix.back() == '.' ? "*`" : "`")))
        << free.prefix;
}

TEST_F(ResumeRules, LetARunGoOnThatAsksItsGradersInAnotherWay) {
  auto& term = config_.reward.terms.front();
  term = {.type = reward::TermType::kCommand,
          .name = "grader",
          .pattern = "",
          .command = {"python3", (testing::source_dir() / "docs/examples/rewards/grader.py").string()},
          .timeout_s = 20.0};  // a busy machine starts Python slowly
  run();
  config_.trainer.steps = 3;
  term.timeout_s = 25.0;
  term.workers = 2;
  term.retries = 7;
  term.on_failure = reward::OnFailure::kLeaveOut;
  EXPECT_EQ(error(), "no error");
  term.weight = 2.0;
  EXPECT_THAT(error(), HasSubstr("reward.terms.0.weight"));
}

TEST_F(ResumeRules, LetARunGoOnWithLessMemory) {
  run();
  config_.trainer.steps = 3;
  config_.trainer.micro_batch_tokens = 100;
  config_.trainer.share_prompts = update::SharePrompts::kTrue;
  config_.rollout.kv_memory_gb.value = 0.5;
  config_.rollout.max_sequences.value = 4;
  config_.rollout.page_size = 8;
  config_.trainer.activation_checkpointing = RecomputeChoice::kFull;
  EXPECT_EQ(error(), "no error");
}

TEST_F(ResumeRules, RefuseWhatChangesTheMathematicsAndNameTheFork) {
  run();
  config_.trainer.steps = 3;
  config_.optimizer.lr = 0.5;
  EXPECT_THAT(error(), AllOf(HasSubstr("optimizer.lr is 0.5 but the run was started with 0.001"), HasSubstr("--fork"),
                             HasSubstr("step_00000002")));
}

TEST_F(ResumeRules, TakeTheSameContentFromOtherPaths) {
  run();
  config_.trainer.steps = 3;
  config_.model.path = copied(config_.model.path, "moved_model").string();
  config_.data.train = {copied(config_.data.train[0].path[0], "moved.jsonl").string()};
  config_.model.chat_template = {.text = "{problem}", .map = {}};  // this renders what "none" renders
  EXPECT_EQ(error(), "no error");
}

TEST_F(ResumeRules, RefuseOtherContentUnderTheSamePath) {
  const fs::path data = copied(config_.data.train[0].path[0], "data.jsonl");
  const fs::path model = copied(config_.model.path, "model");
  config_.data.train = {data.string()};
  config_.model.path = model.string();
  config_.algorithm.kl.coef = 0.1;
  run();
  config_.trainer.steps = 3;

  const std::string rows = io::read_file(data);
  io::write_file_atomic(data, rows.substr(rows.find('\n') + 1));
  EXPECT_THAT(error(), AllOf(HasSubstr("data.train"), HasSubstr("4096 problems"), HasSubstr("4095 problems")));
  io::write_file_atomic(data, rows);

  config_.rollout.stop_ids = {5};
  EXPECT_THAT(error(), AllOf(HasSubstr("stop ids"), HasSubstr("5]")));
  config_.rollout.stop_ids = {};

  config_.model.chat_template = {.text = "Q{problem}", .map = {}};
  EXPECT_THAT(error(), HasSubstr("model.template"));
  config_.model.chat_template = {.text = "none", .map = {}};

  std::string weights = io::read_file(model / "model.safetensors");
  weights.back() = static_cast<char>(weights.back() ^ 1);
  io::write_file_atomic(model / "model.safetensors", weights);
  EXPECT_THAT(error(), HasSubstr("the weights of the reference"));
}

TEST_F(ResumeRules, SayThatAnEvaluationSetChanged) {
  const fs::path set = dir_.path() / "set.jsonl";
  const std::string first = "{\"problem\":\"1+1+1+1+1=\",\"answer\":\"5\"}\n";
  io::write_file_atomic(set, first);
  config_.eval = {.every_steps = 2, .data = {set.string()}, .samples = 1};
  run();
  io::write_file_atomic(set, first + "{\"problem\":\"2+1+1+1+1=\",\"answer\":\"6\"}\n");
  config_.trainer.steps = 3;
  EXPECT_THAT(warnings(), AllOf(HasSubstr("warning"), HasSubstr("set are not those")));
}

TEST_F(ResumeRules, SayThatTheRateJumpsWhenTheEndMoves) {
  config_.optimizer.schedule = optim::Schedule::kLinear;
  config_.optimizer.warmup_updates = 0;
  run();
  config_.trainer.steps = 4;
  EXPECT_THAT(warnings(), AllOf(HasSubstr("warning"),
                                HasSubstr("learning rate of the next update is 0.0005 where it would have been 0")));
}

TEST_F(ResumeRules, LetAForkChangeAnythingAndSaySo) {
  run();
  const fs::path checkpoint = dir_.path() / "runs" / "tiny" / "checkpoints" / "step_00000002";
  config_.run.name = "forked";
  config_.trainer.steps = 4;
  config_.optimizer.lr = 5e-4;
  config_.rollout.prompts_per_step = 4;
  run({.fork = checkpoint.string()});
  const fs::path forked = dir_.path() / "runs" / "forked";
  EXPECT_EQ(testing::read_jsonl(forked / "metrics.jsonl").back().at("step"), 4);
  const auto from = io::read_json(forked / "run.json").at("forked_from");
  EXPECT_EQ(from.at("checkpoint"), fs::canonical(checkpoint).string());
  EXPECT_EQ(from.at("changed").at("optimizer.lr"), nlohmann::json({"0.001", "5.0e-4"}));
  EXPECT_TRUE(from.at("changed").contains("rollout.prompts_per_step"));
  EXPECT_FALSE(fs::exists(dir_.path() / "runs" / "tiny" / "checkpoints" / "step_00000004"));

  config_.trainer.steps = 5;  // the same command again continues the fork
  run({.fork = checkpoint.string()});
  EXPECT_EQ(testing::read_jsonl(forked / "metrics.jsonl").back().at("step"), 5);
}

TEST_F(ResumeRules, AForkIsARunOfItsOwn) {
  run();
  const fs::path checkpoint = dir_.path() / "runs" / "tiny" / "checkpoints" / "step_00000002";
  EXPECT_THAT(error({.fork = checkpoint.string()}), HasSubstr("give the new run another run.name"));
  // One that ended before its first checkpoint must not begin anew from model.path in silence.
  const fs::path forked = dir_.path() / "runs" / "forked";
  fs::create_directories(forked);
  io::write_json(forked / "run.json", {{"forked_from", {{"checkpoint", checkpoint.string()}}}});
  config_.run.name = "forked";
  EXPECT_THAT(error(), HasSubstr("begin it again with --fork"));
}

TEST_F(ResumeRules, RefuseAForkToAMethodThatNeedsWhatTheOtherLacks) {
  run();
  const fs::path sampled = dir_.path() / "runs" / "tiny" / "checkpoints" / "step_00000002";
  config_.run.name = "forked";
  config_.algorithm.method = MethodKind::kPpo;
  config_.algorithm.ppo.critic_lr = 1e-3;
  EXPECT_THAT(error({.fork = sampled.string()}),
              AllOf(HasSubstr("is of a run without a critic"),
                    HasSubstr("begin it with model.path: " + fs::canonical(sampled / "model").string())));
  config_.algorithm.method = MethodKind::kSft;
  EXPECT_THAT(error({.fork = sampled.string()}), HasSubstr("is of a run that samples completions"));
  run();  // of written texts, from the beginning
  const fs::path written = dir_.path() / "runs" / "forked" / "checkpoints" / "step_00000002";
  for (const auto method : {MethodKind::kGrpo, MethodKind::kPpo}) {
    config_.run.name = "other";
    config_.algorithm.method = method;
    EXPECT_THAT(error({.fork = written.string()}), HasSubstr("is of a run that learns from written texts"));
    EXPECT_FALSE(fs::exists(dir_.path() / "runs" / "other"));
  }
}

TEST_F(ResumeRules, LetAForkHaveAGoalOfItsOwn) {
  config_.trainer.stop_on = {.metric = "rollouts", .no_better_for = 1};  // which stays the same
  config_.trainer.steps = 9;
  run();
  const fs::path checkpoint = dir_.path() / "runs" / "tiny" / "checkpoints" / "step_00000002";
  config_.run.name = "forked";
  run({.fork = checkpoint.string()});
  EXPECT_EQ(testing::read_jsonl(dir_.path() / "runs" / "forked" / "metrics.jsonl").back().at("step"), 4);
}

}  // namespace
}  // namespace grpo::trainer
