// Whole runs of the quickstart model that train adapters.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/json.h"
#include "grpo/models/causal_lm.h"
#include "support/golden.h"
#include "support/message_of.h"
#include "trainer/tiny_run.h"

namespace grpo::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Lt;
using ::testing::Not;

constexpr const char* kLast = "step_00000006";

class LoraRun : public TinyRuns {
 protected:
  TrainConfig adapted(const std::string& name) const {
    auto made = config(name);
    made.model.lora = {.rank = 4, .alpha = 8.0};
    made.optimizer.lr = 3e-3;
    return made;
  }
  fs::path checkpoint(const std::string& run, const std::string& step = kLast) const {
    return folder(run) / "checkpoints" / step;
  }
  // Drops the checkpoints after the first and goes on from there.
  void continue_from_first(const TrainConfig& config, const std::string& name) const {
    for (const char* step : {"step_00000004", kLast}) fs::remove_all(checkpoint(name, step));
    run(config, "auto");
  }
  // The folder of a model that is the quickstart's with one weight changed.
  std::string other_base() const {
    const auto source = config("").model.path;
    const auto model = models::CausalLM::load(source, at::kFloat, at::kCPU);
    {
      const at::NoGradGuard no_grad;
      at::Tensor(model->parameters().front().second)[0][0].add_(0.01);
    }
    model->save(dir_.path() / "other", source);
    return (dir_.path() / "other").string();
  }
};

TEST_F(LoraRun, ContinuesBitForBitFromAnEarlierCheckpoint) {
  for (const bool compares : {false, true}) {
    const std::string suffix = compares ? "_kl" : "";
    const auto make = [&](const std::string& name) {
      auto made = adapted(name + suffix);
      made.model.lora.dropout = compares ? 0.0 : 0.2;
      if (compares) made.algorithm.kl = {.coef = 0.01, .sync_every = 3};
      return made;
    };
    run(make("whole"));
    run(make("again"));
    continue_from_first(make("again"), "again" + suffix);
    expect_equal_runs(folder("whole" + suffix), folder("again" + suffix));
  }
}

TEST_F(LoraRun, HoldsAdaptersAloneInItsCheckpoints) {
  run(adapted("run"));
  std::vector<std::string> names;
  uintmax_t bytes = 0;
  for (const auto& [name, content] : files_below(checkpoint("run"))) {
    if (name.starts_with("model/tokenizer") || name == "model/generation_config.json") continue;
    names.push_back(name);
    bytes += content.size();
  }
  EXPECT_THAT(names, ElementsAre("MANIFEST", "model/adapter_config.json", "model/adapter_model.safetensors",
                                 "optimizer_00000_of_00001.safetensors", "state.json"));
  EXPECT_LT(bytes, fs::file_size(fs::path(config("").model.path) / "model.safetensors"));
}

// The sampler multiplies by merged weights, the trainer by the weights and the adapters.
TEST_F(LoraRun, SamplesAsItTrains) {
  for (const bool exact : {true, false}) {
    auto made = adapted(exact ? "exact" : "fast");
    made.rollout.exact = exact;
    run(made);
    EXPECT_THAT(measures(exact ? "exact" : "fast", "kl/sampler"), Each(Lt(1e-9)));
    EXPECT_THAT(measures(exact ? "exact" : "fast", "grad_norm"), Not(Each(0.0)));
  }
}

TEST_F(LoraRun, IsComparedWithTheWeightsWithoutItsAdapters) {
  auto made = adapted("run");
  made.algorithm.kl.coef = 0.01;
  run(made);
  const auto divergence = measures("run", "kl/reference");
  EXPECT_EQ(divergence.front(), 0.0);  // adapters add nothing at first
  EXPECT_GT(divergence.back(), 1e-6);
}

TEST_F(LoraRun, ContinuesOnItsOwnBaseAlone) {
  auto made = adapted("run");
  run(made);
  made.trainer.steps = 8;
  made.model.path = other_base();
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] { train(made, {.resume = "auto", .config_folder = ""}); }),
              HasSubstr("model.path: the weights that the adapters belong to is"));
}

TEST_F(LoraRun, IsNotContinuedAsARunOfAllWeightsNorTheOtherWayRound) {
  run(adapted("adapters"));
  run(config("weights"));
  auto made = config("adapters");
  made.trainer.steps = 8;
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] { train(made, {.resume = "auto", .config_folder = ""}); }),
              HasSubstr("model.lora.rank"));
  made = config("fork");
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] {
                train(made, {.resume = "auto", .fork = checkpoint("adapters").string(), .config_folder = ""});
              }),
              HasSubstr("holds adapters, and a run begins with a whole model"));
  made = adapted("fork");
  EXPECT_THAT(testing::message_of<base::CheckpointError>([&] {
                train(made, {.resume = "auto", .fork = checkpoint("weights").string(), .config_folder = ""});
              }),
              HasSubstr("it holds a whole model, and this run trains adapters"));
  made = config("start");
  made.model.path = (checkpoint("adapters") / "model").string();
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] { train(made, {.resume = "never", .config_folder = ""}); }),
              HasSubstr("it is a LoRA adapter"));
  made = config("critic");
  made.algorithm.method = MethodKind::kPpo;
  made.algorithm.ppo.critic = (checkpoint("adapters") / "model").string();
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] { train(made, {.resume = "never", .config_folder = ""}); }),
              HasSubstr("a critic begins with a whole model"));
}

TEST_F(LoraRun, RefusesWhatAdaptersDoNotGoWith) {
  const auto refusal = [&](const std::function<void(TrainConfig&)>& change) {
    auto made = adapted("refused");
    change(made);
    return testing::message_of<base::ConfigError>([&] { validate(made); });
  };
  EXPECT_THAT(refusal([](TrainConfig& c) { c.model.freeze = {"embed"}; }), HasSubstr("model.freeze does not go with"));
  EXPECT_THAT(refusal([](TrainConfig& c) { c.model.init = models::WeightsChoice::kRandom; }),
              HasSubstr("model.init: random does not go with"));
  EXPECT_THAT(refusal([](TrainConfig& c) { c.model.rope_theta = {300.0}; }),
              HasSubstr("model.rope_theta does not go with"));
  EXPECT_THAT(refusal([](TrainConfig& c) { c.distributed.sharding = dist::ShardingChoice::kZero3; }),
              HasSubstr("zero3 does not go with model.lora"));
  EXPECT_THAT(refusal([](TrainConfig& c) { c.model.lora.targets = {"head"}; }), HasSubstr("model.lora.targets: head"));
  EXPECT_EQ(refusal([](TrainConfig&) {}), "no error");
}

TEST_F(LoraRun, RefusesPositionsThatWouldChangeTheRotationOfItsBase) {
  auto made = adapted("yarn");
  made.model.path = other_base();
  made.model.max_positions = {256};
  const auto set_scaling = [&](const nlohmann::json& scaling) {
    const auto file = std::filesystem::path(made.model.path) / "config.json";
    auto json = io::read_json(file);
    json["rope_scaling"] = scaling;
    io::write_json(file, json);
  };
  set_scaling({{"type", "yarn"}, {"factor", 4.0}});
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] { train(made, {.resume = "never", .config_folder = ""}); }),
              HasSubstr("model.max_positions does not go with model.lora"));
  set_scaling({{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 64}});
  run(made);
}

// Every method, dtype and way to keep activations that goes with adapters takes steps that change them, and continues.
struct Way {
  const char* name;
  std::function<void(TrainConfig&)> change;
};

TEST_F(LoraRun, LearnsInEveryWayThatARunMayTake) {
  const std::vector<Way> ways = {
      {"sft", [](TrainConfig& c) { c.algorithm.method = MethodKind::kSft; }},
      {"bf16",
       [](TrainConfig& c) {
         c.model.dtype = models::DtypeChoice::kBfloat16;
         c.rollout.exact = false;
       }},
      {"muon", [](TrainConfig& c) { c.optimizer.kind = optim::OptimizerKind::kMuon; }},
      {"recomputed", [](TrainConfig& c) { c.trainer.activation_checkpointing = RecomputeChoice::kFull; }},
      {"offloaded", [](TrainConfig& c) { c.trainer.offload_optimizer = OffloadOptimizer::kTrue; }},
      {"not_exported", [](TrainConfig& c) { c.checkpoint.export_model = false; }},
      {"streamed",
       [](TrainConfig& c) {
         c.trainer.stream_update = true;
         c.rollout.exact = false;
       }},
      {"epochs", [](TrainConfig& c) { c.trainer.epochs_per_step = 2; }}};
  for (const Way& way : ways) {
    SCOPED_TRACE(way.name);
    auto made = adapted(way.name);
    made.checkpoint.every_steps = 1;
    made.trainer.steps = 2;
    way.change(made);
    run(made);
    made.trainer.steps = 3;
    run(made, "auto");
    EXPECT_THAT(measures(way.name, "grad_norm"), Not(Each(0.0)));
    const auto before = files_below(checkpoint(way.name, "step_00000001"));
    const auto after = files_below(checkpoint(way.name, "step_00000003"));
    EXPECT_NE(before.at("optimizer_00000_of_00001.safetensors"), after.at("optimizer_00000_of_00001.safetensors"));
  }
}

}  // namespace
}  // namespace grpo::trainer
