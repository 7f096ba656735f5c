// Supervised fine-tuning against golden numbers: the reference's mean negative log-likelihood, and its gradient's norm.
#include "trainer/methods/sft.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/update/update.h"
#include "models/golden_model.h"
#include "support/paths.h"
#include "trainer/sequences.h"

namespace grpo::trainer {
namespace {

TrainConfig sft_config() {
  TrainConfig config;
  config.algorithm.method = MethodKind::kSft;
  config.algorithm.policy.loss = algo::Loss::kGspo;  // is not used by sft
  config.rollout.prompts_per_step = 3;
  config.rollout.sampling.temperature = 0.7;  // is not used either: the likelihood is the model's own
  config.optimizer.clip_grad_norm = std::nullopt;
  return config;
}

struct Examples {
  std::vector<Prompt> prompts;
  std::vector<std::vector<int64_t>> completions;
};

// The first id of each sequence is the prompt. Everything after it is learned, as it counts in the reference's nll.
Examples examples_of(const testing::GoldenModel& golden) {
  Examples examples;
  for (const auto& ids : golden.sequences()) {
    examples.prompts.push_back({.row = static_cast<int64_t>(examples.prompts.size()), .ids = {ids.front()}});
    examples.completions.emplace_back(ids.begin() + 1, ids.end());
  }
  return examples;
}

double norm_of_golden_gradients(const testing::GoldenModel& golden) {
  const auto file = io::Safetensors::open(golden.folder() / "expected_grads.safetensors");
  double squares = 0.0;
  for (const auto& [name, bytes] : file.tensors())
    squares += testing::to_tensor(bytes).to(at::kDouble).square().sum().item<double>();
  return std::sqrt(squares);
}

// One step on the whole of a golden model's sequences, in micro-batches of `tokens`.
UpdateStats step_on(const testing::GoldenModel& golden, const TrainConfig& config, int64_t tokens) {
  at::set_num_threads(1);
  const Examples examples = examples_of(golden);
  Policy policy{
      .folder = golden.folder(), .model = golden.load(), .tokenizer = {}, .chat_template = {}, .stop_ids = {}};
  const auto single = dist::make_communicator({.backend = dist::Backend::kSingle});
  optim::Optimizer optimizer(policy.model->parameters(), config.optimizer, {.communicator = single.get()});
  update::TokenBudget budget(tokens);
  const update::Learner learner{.model = *policy.model,
                                .reference = nullptr,
                                .optimizer = optimizer,
                                .communicator = *single,
                                .budget = budget,
                                .objective = objective_of(config),
                                .total_updates = 10};
  Sft sft(config, policy, examples.prompts, examples.completions);
  EXPECT_TRUE(sft.take_step({.step = 1, .learner = learner, .should_stop = {}, .on_progress = {}}));
  return sft.update();
}

TEST(Sft, LossAndGradientAreTheReferences) {
  for (const auto& golden : testing::golden_models()) {
    ASSERT_EQ(golden.sequences().size(), 3u);
    for (const int64_t tokens : {1 << 20, 1}) {  // all at once, and one sequence at a time
      const auto stats = step_on(golden, sft_config(), tokens);
      EXPECT_NEAR(stats.figure("loss"), golden.expected("nll").item<double>(), testing::kLogProbTolerance)
          << golden.folder();
      const double norm = norm_of_golden_gradients(golden);
      EXPECT_NEAR(stats.grad_norm, norm, 1e-4 * norm) << golden.folder();
      EXPECT_EQ(stats.tokens, golden.num_tokens() - 3);
    }
  }
}

// The stop id ends each; the text of a special token is text, unless data.allow_special_tokens says otherwise.
TEST(Sft, WrittenCompletionsEndAndKeepSpecialTextsAsText) {
  const Policy policy = load_policy({.path = (testing::source_dir() / "configs" / "quickstart" / "model").string(),
                                     .dtype = models::DtypeChoice::kFloat32,
                                     .device = models::DeviceChoice::kCpu,
                                     .chat_template = {.text = "none", .map = {}}},
                                    {}, {}, 0);
  const auto special = *policy.tokenizer->token(policy.stop_ids.front());
  const auto completions_of = [&](const std::string& text, int64_t most_tokens, bool special_tokens) {
    std::vector<Prompt> prompts = {{.gold = text, .ids = {0}}};
    return written_completions(policy, prompts, most_tokens, special_tokens).front();
  };
  const auto plain = completions_of("17", 20, false);
  EXPECT_EQ(plain.back(), policy.stop_ids.front());
  const auto as_token = completions_of("17" + special, 20, true);
  ASSERT_EQ(as_token.size(), plain.size() + 1);
  EXPECT_EQ(as_token[plain.size() - 1], policy.stop_ids.front());
  const auto as_text = completions_of("17" + special, 20, false);
  EXPECT_EQ(std::count(as_text.begin(), as_text.end(), policy.stop_ids.front()), 1);
  EXPECT_THROW(completions_of("17", 1, false), base::ConfigError);
}

TEST(Sft, GoesOnWhereItsStateSays) {
  const auto models = testing::golden_models();
  const auto& golden = models.front();
  const auto config = sft_config();
  const Examples examples = examples_of(golden);
  Policy policy{
      .folder = golden.folder(), .model = golden.load(), .tokenizer = {}, .chat_template = {}, .stop_ids = {}};
  Sft sft(config, policy, examples.prompts, examples.completions);
  nlohmann::json state = {{"next_draw", 6}};
  sft.restore(state);
  nlohmann::json saved;
  sft.save(saved);
  EXPECT_EQ(saved, state);
}

}  // namespace
}  // namespace grpo::trainer
