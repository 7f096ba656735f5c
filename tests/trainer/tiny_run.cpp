#include "trainer/tiny_run.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "grpo/base/log.h"
#include "grpo/io/file.h"
#include "support/paths.h"

namespace grpo::trainer {
namespace fs = std::filesystem;

TrainConfig tiny_config(const fs::path& output) {
  const fs::path quickstart = testing::source_dir() / "configs" / "quickstart";
  TrainConfig config;
  config.run = {.name = "tiny", .seed = 3, .output = output.string()};
  config.model.path = (quickstart / "model").string();
  config.model.dtype = models::DtypeChoice::kFloat32;
  config.model.device = models::DeviceChoice::kCpu;
  config.model.chat_template.text = "none";
  config.data.train = {(quickstart / "train.jsonl").string()};
  config.rollout.prompts_per_step = 8;
  config.rollout.group_size = 2;
  config.rollout.max_new_tokens = 20;
  config.rollout.exact = true;
  config.reward.terms = {reward::RewardTerm{}};
  config.optimizer.lr = 1e-3;
  config.optimizer.warmup_updates = 2;
  config.trainer.steps = 6;
  config.trainer.threads = 1;
  config.checkpoint.every_steps = 2;
  config.checkpoint.keep = 10;
  config.eval.every_steps = 0;
  return config;
}

std::vector<nlohmann::json> comparable_metrics(const fs::path& run) {
  std::vector<nlohmann::json> lines;
  for (const auto& line : testing::read_jsonl(run / "metrics.jsonl")) {
    nlohmann::json kept = nlohmann::json::object();
    for (const auto& [name, value] : line.items()) {
      const bool measured = name.rfind("time", 0) == 0 || name.rfind("speed/", 0) == 0 || name.rfind("memory/", 0) == 0;
      if (!measured) kept[name] = value;
    }
    lines.push_back(kept);
  }
  return lines;
}

std::map<std::string, std::string> files_below(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files[fs::relative(entry.path(), folder).string()] = io::read_file(entry.path());
  }
  return files;
}

void expect_equal_runs(const fs::path& a, const fs::path& b, const std::string& last_checkpoint) {
  EXPECT_EQ(comparable_metrics(a), comparable_metrics(b));
  EXPECT_EQ(files_below(a / "rollouts"), files_below(b / "rollouts"));
  const auto files_a = files_below(a / "checkpoints" / last_checkpoint),
             files_b = files_below(b / "checkpoints" / last_checkpoint);
  const bool adapters = files_a.contains("model/adapter_model.safetensors");
  for (const char* file : {adapters ? "model/adapter_model.safetensors" : "model/model.safetensors",
                           "optimizer_00000_of_00001.safetensors"})
    EXPECT_EQ(files_a.at(file), files_b.at(file)) << file;
}

void TinyRuns::SetUp() { base::set_quiet(true); }

TrainConfig TinyRuns::config(const std::string& name) const {
  auto config = tiny_config(dir_.path() / name);
  config.logging.rollouts_per_step = 10000;
  return config;
}

void TinyRuns::run(const TrainConfig& config, const std::string& resume) const {
  ASSERT_EQ(train(config, {.resume = resume, .config_folder = ""}), Outcome::kFinished);
}

std::vector<double> TinyRuns::measures(const std::string& run, const std::string& metric) const {
  std::vector<double> values;
  for (const auto& line : testing::read_jsonl(folder(run) / "metrics.jsonl"))
    if (line.contains(metric)) values.push_back(line.at(metric));
  EXPECT_FALSE(values.empty()) << "no line has " << metric;
  return values;
}

std::vector<nlohmann::json> TinyRuns::rollouts(const std::string& run, int step) const {
  return testing::read_jsonl(folder(run) / "rollouts" / ("step_0000000" + std::to_string(step) + ".jsonl"));
}

}  // namespace grpo::trainer
