#include "grpo/trainer/evaluate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "grpo/data/dataset.h"
#include "grpo/io/file.h"
#include "grpo/io/file_lock.h"
#include "grpo/trainer/policy.h"
#include "support/golden.h"
#include "trainer/tiny_run.h"

namespace grpo::trainer {
namespace {

class Evaluate : public ::testing::Test {
 protected:
  Evaluate()
      : config_(tiny_config(dir_.path())),
        policy_(load_policy(config_.model, {})),
        engine_(*policy_.model, {.exact = true}),
        judge_(reward::make_reward({})) {}

  EvalSet set(const std::string& name, size_t first, size_t count) {
    const auto problems = data::load_problems(config_.data.train.front().path, "problem", "answer");
    int64_t dropped = 0;
    return {.name = name,
            .prompts = make_prompts(policy_,
                                    {problems.begin() + static_cast<int64_t>(first),
                                     problems.begin() + static_cast<int64_t>(first + count)},
                                    1024, &dropped)};
  }

  EvalContext context() {
    return {.engine = &engine_,
            .tokenizer = policy_.tokenizer.get(),
            .generation = {.max_new_tokens = 20, .stop_ids = policy_.stop_ids},
            .samples = 3,
            .greedy = true,
            .seed = 5,
            .judge = judge_.get()};
  }

  testing::TempDir dir_;
  TrainConfig config_;
  Policy policy_;
  rollout::Engine engine_;
  std::unique_ptr<reward::RewardFunction> judge_;
};

// A response that the verifier accepts need not be the gold answer's own text.
TEST_F(Evaluate, AsksTheJudgeThatItIsGiven) {
  const auto kind_of_rule = [&](const reward::RewardConfig& config) {
    const auto judge = reward::make_reward(reward::judge_of(config, "auto"));
    auto asked = context();
    asked.judge = judge.get();
    return evaluate({set("a", 0, 8)}, asked, {""})[0].mean_at_k;
  };
  const double by_math = kind_of_rule({});
  const double by_text = kind_of_rule({.terms = {{.type = reward::TermType::kExact}}});
  EXPECT_GT(by_math, 0.0);
  EXPECT_EQ(by_text, 0.0);  // the model puts its answers into boxes, so none equals the gold text
}

// Each set has its own stream of random numbers, so what else is evaluated in the same run of the engine does not
// matter.
TEST_F(Evaluate, ASetGivesTheSameAloneAndBesideOthers) {
  const auto out = [&](const char* name) { return dir_.path() / name; };
  const auto alone = evaluate({set("b", 10, 7)}, context(), {out("alone")});
  const auto both = evaluate({set("a", 0, 5), set("b", 10, 7)}, context(), {out("a"), out("b")});
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(alone[0].metrics(), both[1].metrics());
  EXPECT_EQ(testing::read_jsonl(out("alone")), testing::read_jsonl(out("b")));
  EXPECT_NE(testing::read_jsonl(out("a")), testing::read_jsonl(out("b")));
  EXPECT_EQ(alone[0].metrics().back().first, "eval/b/greedy");
}

TEST_F(Evaluate, GivesNothingWhenItIsStopped) {
  auto stopped = context();
  stopped.should_stop = [] { return true; };
  EXPECT_TRUE(evaluate({set("a", 0, 5)}, stopped, {{}}).empty());
}

// A judge that is slower than the sampler, and counts its calls.
class SlowJudge : public reward::RewardFunction {
 public:
  std::vector<std::string> names() const override { return {"slow"}; }
  std::vector<reward::Score> score(std::span<const reward::Item> items) const override {
    ++calls;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    return std::vector<reward::Score>(items.size());
  }
  mutable std::atomic<int> calls = 0;
};

// should_stop is also how the watchdog of a run hears of progress, so it is asked for each answer that is judged.
TEST_F(Evaluate, AsksWhetherToStopWhileAnswersAreJudged) {
  const SlowJudge judge;
  auto slow = context();
  slow.judge = &judge;
  bool sampled = false;
  int asked = 0;
  slow.on_progress = [&](const EvalProgress& progress) { sampled = progress.done == progress.total; };
  slow.should_stop = [&] {
    asked += sampled ? 1 : 0;
    return false;
  };
  EXPECT_EQ(evaluate({set("a", 0, 5)}, slow, {{}}).size(), 1U);
  EXPECT_EQ(judge.calls, 10);  // the samples and the greedy answer of each problem
  EXPECT_GE(asked, 5);
  const SlowJudge dropped;
  slow.judge = &dropped;
  slow.should_stop = [&] { return std::exchange(sampled, false); };
  EXPECT_TRUE(evaluate({set("a", 0, 5)}, slow, {{}}).empty());
  EXPECT_LT(dropped.calls, 10);
}

// Graders do not say what an answer is, so wrong ones cannot be told apart.
TEST_F(Evaluate, WithAGraderTheVoteIsRightWhereMostAnswersAre) {
  class Grader : public SlowJudge {
    std::vector<reward::Score> score(std::span<const reward::Item> items) const override {
      std::vector<reward::Score> scores(items.size());
      for (size_t i = 0; i < items.size(); ++i)
        scores[i].verdict.kind =
            items[i].sample == 0 ? verifier::Verdict::Kind::kRight : verifier::Verdict::Kind::kWrong;
      return scores;
    }
  };
  const Grader grader;
  auto graded = context();
  graded.judge = &grader;
  graded.greedy = false;
  EXPECT_EQ(evaluate({set("a", 0, 2)}, graded, {{}})[0].maj_at_k, 0.0);
  graded.samples = 2;
  EXPECT_EQ(evaluate({set("a", 0, 2)}, graded, {{}})[0].maj_at_k, 0.5);
}

// Two that sample at once would both keep the same completions, which a later evaluation would take for different ones.
TEST_F(Evaluate, OneAtATimeHasTheKeptAnswers) {
  {
    const AnswerStore answers(dir_.path() / "answers", "id");
    EXPECT_THROW(AnswerStore(dir_.path() / "answers", "id"), io::LockedError);
    EXPECT_NO_THROW(AnswerStore(dir_.path() / "answers", "other"));  // of other weights
  }
  EXPECT_NO_THROW(AnswerStore(dir_.path() / "answers", "id"));
}

TEST_F(Evaluate, KeptAnswersAreThoseThatWouldBeSampled) {
  const auto fresh = evaluate({set("a", 0, 5)}, context(), {dir_.path() / "fresh"});
  {
    AnswerStore answers(dir_.path() / "answers", "id");
    auto first = context();
    first.samples = 1;
    first.answers = &answers;
    evaluate({set("a", 0, 5)}, first, {{}});
  }
  AnswerStore answers(dir_.path() / "answers", "id");
  auto rest = context();
  rest.answers = &answers;
  std::vector<EvalProgress> reports;
  rest.on_progress = [&](const EvalProgress& progress) { reports.push_back(progress); };
  EXPECT_EQ(evaluate({set("a", 0, 5)}, rest, {dir_.path() / "rest"})[0].metrics(), fresh[0].metrics());
  EXPECT_EQ(testing::read_jsonl(dir_.path() / "fresh"), testing::read_jsonl(dir_.path() / "rest"));
  // Each of the five problems has three samples and a greedy one, of which one each is known. The other two samples of
  // a problem are reported together, and while the last answers are judged the same number is reported again.
  std::vector<int64_t> done;
  for (const auto& report : reports) done.push_back(report.done);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  done.erase(std::unique(done.begin(), done.end()), done.end());
  ASSERT_EQ(done.size(), 5u);
  EXPECT_EQ(done.front(), 12);
  EXPECT_EQ(done.back(), 20);
  EXPECT_EQ(reports.back().total, 20);
}

TEST(HashModelFolder, ChangesWithAnyFileOfTheModelOnly) {
  testing::TempDir dir;
  const auto write = [&](const char* name, const char* text) { io::write_file_atomic(dir.path() / name, text); };
  write("model.safetensors", "weights");
  write("config.json", "{}");
  const auto before = hash_model_folder(dir.path());
  write("README.md", "words");
  EXPECT_EQ(hash_model_folder(dir.path()), before);
  write("model.safetensors", "weightz");
  EXPECT_NE(hash_model_folder(dir.path()), before);
}

}  // namespace
}  // namespace grpo::trainer
