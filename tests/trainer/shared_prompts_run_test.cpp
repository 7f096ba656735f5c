// trainer.share_prompts in whole runs: the same first step up to rounding in every way to train, and a run that is
// resumed has the bits of one that was not.
#include <gmock/gmock.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "support/message_of.h"
#include "trainer/tiny_run.h"

namespace grpo::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using update::SharePrompts;

struct Way {
  const char* name;
  std::function<void(TrainConfig&)> change;
};

class SharedPromptsRun : public TinyRuns {
 protected:
  TrainConfig sharing(const std::string& name, SharePrompts share, const Way& way) const {
    auto made = config(name);
    made.rollout.group_size = 4;
    made.trainer.micro_batch_tokens = 60;
    made.trainer.share_prompts = share;
    way.change(made);
    return made;
  }
  std::vector<std::string> written_pairs() const {
    std::string rows;
    for (int a = 10; a < 50; ++a)
      rows +=
          base::concat(R"({"prompt": ")", a, R"(+23=", "chosen": ")", a + 23, R"(", "rejected": ")", a + 33, "\"}\n");
    io::write_file_atomic(dir_.path() / "pairs.jsonl", rows);
    return {(dir_.path() / "pairs.jsonl").string()};
  }
  void expect_resumes(const Way& way) const {
    const auto whole = sharing(std::string(way.name) + "_true", SharePrompts::kTrue, way);
    const auto parts = sharing(std::string(way.name) + "_parts", SharePrompts::kTrue, way);
    run(parts);
    const fs::path last = fs::path("checkpoints") / "step_00000006";
    const auto of_parts = fs::path(parts.run.output) / parts.run.name,
               of_whole = fs::path(whole.run.output) / whole.run.name;
    for (const char* step : {"step_00000004", "step_00000006"}) fs::remove_all(of_parts / "checkpoints" / step);
    run(parts, "auto");
    EXPECT_EQ(comparable_metrics(of_parts), comparable_metrics(of_whole));
    for (const char* kept : {"model", "critic"}) {
      if (!fs::exists(of_whole / last / kept)) continue;  // a policy alone has no critic
      EXPECT_EQ(files_below(of_parts / last / kept), files_below(of_whole / last / kept));
    }
    EXPECT_EQ(io::read_file(of_parts / last / "optimizer_00000_of_00001.safetensors"),
              io::read_file(of_whole / last / "optimizer_00000_of_00001.safetensors"));
  }
};

TEST_F(SharedPromptsRun, MakeTheSameFirstStepAndContinueBitForBit) {
  ::setenv("GRPO_CACHE", (dir_.path() / "cache").c_str(), 1);
  const auto pairs = written_pairs();
  const std::vector<Way> ways = {
      {"grpo", [](TrainConfig&) {}},
      {"updates",
       [](TrainConfig& c) {
         c.trainer.updates_per_step = 2;
         c.trainer.epochs_per_step = 2;
         c.algorithm.kl.coef = 0.01;
       }},
      {"ppo", [](TrainConfig& c) { c.algorithm.method = MethodKind::kPpo; }},
      {"pairs", [](TrainConfig& c) { c.algorithm.policy.loss = algo::Loss::kPairLogistic; }},
      {"online_dpo", [](TrainConfig& c) { c.algorithm.method = MethodKind::kOnlineDpo; }},
      {"dpo",
       [&](TrainConfig& c) {
         c.algorithm.method = MethodKind::kDpo;
         c.rollout.group_size = 2;
         c.data.train.clear();
         for (const auto& file : pairs) c.data.train.push_back({file});
       }},
      {"lora", [](TrainConfig& c) { c.model.lora = {.rank = 4, .alpha = 8.0}; }},
      {"recomputed", [](TrainConfig& c) { c.trainer.activation_checkpointing = RecomputeChoice::kFull; }},
      {"streamed", [](TrainConfig& c) {
         c.trainer.stream_update = true;
         c.rollout.exact = false;
       }}};
  for (const Way& way : ways) {
    SCOPED_TRACE(way.name);
    const std::string shared = std::string(way.name) + "_true", alone = std::string(way.name) + "_false";
    run(sharing(shared, SharePrompts::kTrue, way));
    run(sharing(alone, SharePrompts::kFalse, way));
    const auto found = comparable_metrics(folder(shared)).front(), expected = comparable_metrics(folder(alone)).front();
    for (const char* metric : {"loss", "grad_norm", "tokens/trained", "kl/sampler", "value/loss", "margin/mean"}) {
      ASSERT_EQ(found.contains(metric), expected.contains(metric)) << metric;
      if (!found.contains(metric)) continue;
      const double value = expected.at(metric);
      EXPECT_NEAR(found.at(metric).get<double>(), value, 1e-5 * (1.0 + std::abs(value))) << metric;
    }
    EXPECT_GT(measures(shared, "grad_norm").back(), 0.0);
    expect_resumes(way);
  }
  ::unsetenv("GRPO_CACHE");
}

// The quickstart's prompts are too short for sharing to pay, so that its runs have the bits that they always had.
TEST_F(SharedPromptsRun, AutoLeavesShortPromptsAlone) {
  const Way plain{"", [](TrainConfig&) {}};
  run(sharing("auto", SharePrompts::kAuto, plain));
  run(sharing("false", SharePrompts::kFalse, plain));
  expect_equal_runs(folder("auto"), folder("false"));
}

TEST_F(SharedPromptsRun, RefuseDropoutOfAdaptersAndLeaveItAloneByThemselves) {
  auto made = config("dropout");
  made.model.lora = {.rank = 4, .alpha = 8.0, .dropout = 0.2};
  made.trainer.share_prompts = SharePrompts::kTrue;
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] { validate(made); }),
              HasSubstr("trainer.share_prompts: true does not go with model.lora.dropout"));
  made.trainer.share_prompts = SharePrompts::kAuto;
  EXPECT_NO_THROW(validate(made));
}

}  // namespace
}  // namespace grpo::trainer
