// Runs that learn from better and worse completions: their own (loss pair, pair_logistic, method online_dpo), and
// written ones (method dpo).
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "support/message_of.h"
#include "trainer/tiny_run.h"

namespace grpo::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::Each;
using ::testing::Gt;
using ::testing::HasSubstr;

class PreferenceRun : public TinyRuns {
 protected:
  void SetUp() override {
    TinyRuns::SetUp();
    ::setenv("GRPO_CACHE", (dir_.path() / "cache").c_str(), 1);
  }
  void TearDown() override { ::unsetenv("GRPO_CACHE"); }

  TrainConfig of_loss(const std::string& name, algo::Loss loss, int64_t group_size = 2) const {
    auto made = config(name);
    made.algorithm.policy.loss = loss;
    made.rollout.group_size = group_size;
    return made;
  }

  TrainConfig online(const std::string& name, int64_t group_size = 2) const {
    auto made = config(name);
    made.algorithm.method = MethodKind::kOnlineDpo;
    made.rollout.group_size = group_size;
    return made;
  }

  // Written pairs for 40 sums: the right result, and one that is too large by 10.
  TrainConfig written(const std::string& name) const {
    std::string rows;
    for (int a = 10; a < 50; ++a)
      rows +=
          base::concat(R"({"prompt": ")", a, R"(+23=", "chosen": ")", a + 23, R"(", "rejected": ")", a + 33, "\"}\n");
    io::write_file_atomic(dir_.path() / "pairs.jsonl", rows);
    auto made = config(name);
    made.algorithm.method = MethodKind::kDpo;
    made.data.train = {(dir_.path() / "pairs.jsonl").string()};
    return made;
  }

  std::vector<fs::path> kept_references() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(dir_.path() / "cache" / "reference")) files.push_back(entry.path());
    return files;
  }

  // The first step with a live group.
  size_t first_live(const std::string& name) const {
    const auto live = measures(name, "groups/live");
    const auto found = std::find_if(live.begin(), live.end(), [](double groups) { return groups > 0.0; });
    EXPECT_NE(found, live.end());
    return static_cast<size_t>(found - live.begin());
  }

  void expect_resumes(const TrainConfig& whole, TrainConfig parts) const {
    run(whole);
    run(parts);
    const auto folder = fs::path(parts.run.output) / parts.run.name;
    fs::remove_all(folder / "checkpoints" / "step_00000006");
    run(parts, "auto");  // from step 4
    expect_equal_runs(fs::path(whole.run.output) / whole.run.name, folder);
  }

  std::string weights(const std::string& name) const {
    return io::read_file(folder(name) / "checkpoints" / "step_00000006" / "model" / "model.safetensors");
  }
};

TEST_F(PreferenceRun, EveryKindResumesBitForBit) {
  expect_resumes(of_loss("pair", algo::Loss::kPair), of_loss("pair2", algo::Loss::kPair));
  expect_resumes(of_loss("logistic", algo::Loss::kPairLogistic, 4), of_loss("logistic2", algo::Loss::kPairLogistic, 4));
  auto moved = online("online", 4), moved_parts = online("online2", 4);
  moved.algorithm.kl.sync_every = moved_parts.algorithm.kl.sync_every = 3;
  expect_resumes(moved, moved_parts);
  auto dpo = written("dpo");
  run(dpo);
  auto parts = written("dpo2");
  run(parts);
  fs::remove_all(folder("dpo2") / "checkpoints" / "step_00000006");
  run(parts, "auto");
  EXPECT_EQ(comparable_metrics(folder("dpo")), comparable_metrics(folder("dpo2")));
  EXPECT_TRUE(weights("dpo") == weights("dpo2"));
}

// With advantages of exactly 1 and -1, the mean over 16 rollouts of the sums over their tokens is half of the mean over
// 8 pairs of their differences: bit for bit, since the factors are powers of two.
TEST_F(PreferenceRun, PairIsGrpoOnThePolicyThatSampled) {
  run(of_loss("pair", algo::Loss::kPair));
  auto grpo = config("grpo");
  grpo.algorithm.advantage.kind = algo::Advantage::kRloo;
  grpo.algorithm.aggregation = algo::Aggregation::kSeqMeanTokenSum;
  run(grpo);
  EXPECT_TRUE(weights("pair") == weights("grpo"));
  auto other = config("other");
  other.algorithm.advantage.kind = algo::Advantage::kRloo;
  run(other);
  EXPECT_FALSE(weights("pair") == weights("other"));  // a mean over tokens is something else
}

// The reference is the policy up to the first step that has a live pair, so each costs log 2 there.
TEST_F(PreferenceRun, OnlineDpoStartsAtItsReference) {
  auto all = online("all"), live = online("live");
  live.algorithm.denominator = algo::DenominatorScope::kLive;
  run(all);
  run(live);
  const size_t first = first_live("all");
  const double share = measures("all", "groups/live")[first] / 8.0;
  EXPECT_NEAR(measures("all", "loss")[first], std::log(2.0) * share, 1e-6);
  EXPECT_NEAR(measures("live", "loss")[first], std::log(2.0), 1e-6);
  EXPECT_NEAR(measures("all", "rewards/margins")[first], 0.0, 1e-5);
  EXPECT_GT(std::abs(measures("all", "rewards/margins").back()), 1e-4);
  EXPECT_NEAR(measures("all", "rewards/margins").back(), 0.1 * measures("all", "margin/mean").back(), 1e-9);
}

TEST_F(PreferenceRun, OfAGroupOnlineDpoTakesTheBestAndTheWorst) {
  run(online("run", 4));
  const auto live = measures("run", "groups/live"), trained = measures("run", "tokens/trained");
  for (size_t step = 0; step < 3; ++step) {
    const auto rows = rollouts("run", static_cast<int>(step) + 1);
    double longest = 0.0;
    for (const auto& row : rows) longest = std::max(longest, static_cast<double>(row.at("ids").size()));
    EXPECT_LE(trained[step], 2.0 * live[step] * longest);
    EXPECT_EQ(trained[step] > 0.0, live[step] > 0.0);
  }
}

// A streamed run cannot sample with rollout.exact, so the plain run does not either.
TEST_F(PreferenceRun, StreamedTheyAreTheSameUpTheOrderOfSums) {
  for (const auto& make : {of_loss("logistic", algo::Loss::kPairLogistic, 4), online("online", 4)}) {
    auto plain = make, streamed = make;
    plain.run.name = "plain";
    streamed.run.name = "streamed";
    streamed.trainer.stream_update = true;
    streamed.trainer.micro_batch_tokens = 100;
    for (auto* one : {&plain, &streamed}) {
      one->rollout.exact = false;
      one->trainer.steps = 2;
      run(*one);
    }
    const auto lines = [&](const char* name) { return comparable_metrics(fs::path(make.run.output) / name); };
    double learned = 0.0;  // the rate of the first update is 0, so that both sample the same in both steps
    for (const size_t step : {0, 1}) {
      for (const char* name : {"loss", "grad_norm", "margin/mean"}) {
        const double expected = lines("plain")[step].at(name);
        EXPECT_NEAR(lines("streamed")[step].at(name), expected, 1e-4 * (1.0 + std::abs(expected))) << name;
        learned += std::abs(expected);
      }
    }
    EXPECT_GT(learned, 0.0);
  }
}

TEST_F(PreferenceRun, SeveralUpdatesAStepLearnToo) {
  auto made = of_loss("logistic", algo::Loss::kPairLogistic);
  made.trainer.updates_per_step = 2;
  made.trainer.epochs_per_step = 2;
  run(made);
  EXPECT_GT(measures("logistic", "grad_norm")[first_live("logistic")], 0.0);
}

TEST_F(PreferenceRun, DpoLearnsWhatIsWritten) {
  auto made = written("dpo");
  made.trainer.steps = 20;
  made.trainer.updates_per_step = 2;
  run(made);
  const auto loss = measures("dpo", "loss"), margins = measures("dpo", "rewards/margins");
  EXPECT_LT(loss.back(), 0.9 * std::log(2.0));
  EXPECT_GT(margins.back(), 0.2);
  EXPECT_GT(measures("dpo", "rewards/accuracies").back(), 0.9);
  EXPECT_NEAR(measures("dpo", "rewards/chosen").back() - measures("dpo", "rewards/rejected").back(), margins.back(),
              1e-9);
  EXPECT_EQ(measures("dpo", "examples/total").back(), 160.0);
  // Every completion has three tokens: two digits and the end.
  EXPECT_EQ(measures("dpo", "tokens/completion").front(), 8.0 * 2.0 * 3.0);
}

TEST_F(PreferenceRun, TheReferenceIsComputedOnceAndBelievedOnlyWhereItIsWhole) {
  const auto first = written("first");
  run(first);
  ASSERT_EQ(kept_references().size(), 1u);
  const auto file = kept_references().front();
  const std::string whole = io::read_file(file);
  // With another seed weights and pairs are the same, so the file is used again.
  auto again = written("again");
  again.run.seed = 9;
  run(again);
  EXPECT_EQ(kept_references().size(), 1u);
  // Files with a number that was changed, that were cut off, or that hold something else are written anew.
  auto other = nlohmann::json::parse(whole);
  other["log_probs"][0][0] = -1.0;
  for (const std::string& spoiled : {other.dump(), whole.substr(0, whole.size() / 2), std::string("{}")}) {
    io::write_file_atomic(file, spoiled);
    auto mended = written("mended");
    mended.run.name = base::concat("tiny", spoiled.size());
    run(mended);
    EXPECT_EQ(io::read_file(file), whole);
    EXPECT_EQ(comparable_metrics(folder("first")), comparable_metrics(fs::path(mended.run.output) / mended.run.name));
  }
  // A run that goes on without the file computes the log-probs with the start weights again, not with its own.
  fs::remove_all(folder("first") / "checkpoints" / "step_00000006");
  fs::remove(file);
  run(first, "auto");
  EXPECT_EQ(io::read_file(file), whole);
}

TEST_F(PreferenceRun, PairsOfWhichNothingCanBeLearnedAreLeftOut) {
  auto made = written("dpo");
  std::string rows = io::read_file(dir_.path() / "pairs.jsonl");
  rows += R"({"prompt": "1+1=", "chosen": "2", "rejected": "2"})"
          "\n";
  rows += R"({"prompt": "1+1=", "chosen": "2", "rejected": "222222222222222222222222222222"})"
          "\n";
  io::write_file_atomic(dir_.path() / "more.jsonl", rows);
  run(made);
  auto more = written("more");
  more.data.train = {(dir_.path() / "more.jsonl").string()};
  run(more);
  EXPECT_EQ(measures("dpo", "loss"), measures("more", "loss"));  // the 40 others are the same draws
  io::write_file_atomic(dir_.path() / "none.jsonl", R"({"prompt": "1+1=", "chosen": "2", "rejected": "2"})"
                                                    "\n");
  auto none = written("none");
  none.data.train = {(dir_.path() / "none.jsonl").string()};
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] { train(none, {.resume = "never", .config_folder = ""}); }),
              HasSubstr("no pair is left"));
}

TEST_F(PreferenceRun, DpoEvaluatesByItsReward) {
  auto made = written("dpo");
  io::write_file_atomic(dir_.path() / "sums.jsonl", R"({"problem": "11+23=", "answer": "34"})"
                                                    "\n");
  made.eval = {.every_steps = 3, .data = {(dir_.path() / "sums.jsonl").string()}, .samples = 1};
  run(made);
  EXPECT_EQ(measures("dpo", "eval/sums/mean@1").size(), 3u);
}

}  // namespace
}  // namespace grpo::trainer
