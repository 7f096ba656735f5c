// Measures whole GRPO steps of a model with random weights; it is not a test. scripts/gpu_check.sh runs it on a GPU. It
// prints a JSON line for each measurement, and ratios of measurements of this one run.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grpo/base/cores.h"
#include "grpo/metrics/timer.h"
#include "grpo/models/device.h"
#include "grpo/trainer/grpo_step.h"
#include "support/gpu_bench.h"
#include "trainer/draws.h"
#include "trainer/memory_plan.h"
#include "trainer/sequences.h"

namespace {

using namespace grpo;
using testing::kDevice;
using testing::print;

// The sizes that a shape is measured with. mean_length: the approximate mean length of completions; lengths are
// geometric, so that their tail is heavy. 0: all completions reach the limit.
struct Size {
  int64_t pairs, prompt, mean_length, max_new_tokens, micro_batch_tokens;
};

Size size_of(const std::string& shape) {
  if (shape == "tiny") return {8, 16, 12, 64, 256};
  if (shape == "smollm2-135m") return {16, 64, 32, 64, 1024};
  if (shape == "1.5b-short") return {32, 128, 0, 256, 32768};
  return {256, 128, 600, 3072, 32768};
}

// A step needs texts to judge, and here the ids serve as text.
class IdsAsText : public tokenizer::Tokenizer {
 public:
  std::vector<int64_t> encode(std::string_view, bool) const override { return {}; }
  std::string decode(std::span<const int64_t> ids, bool) const override {
    std::string text;
    for (const int64_t id : ids) text += std::to_string(id) + " ";
    return text;
  }
  std::optional<int64_t> token_id(std::string_view) const override { return std::nullopt; }
  std::optional<std::string> token(int64_t) const override { return std::nullopt; }
  bool is_special(int64_t) const override { return false; }
  int64_t vocab_size() const override { return 0; }
};

// Random weights answer nothing, so a hash of the text decides whether a completion is right. Half of the pairs are
// tied.
class ByText : public reward::RewardFunction {
 public:
  std::vector<std::string> names() const override { return {"text"}; }
  std::vector<reward::Score> score(std::span<const reward::Item> items) const override {
    std::vector<reward::Score> scores;
    for (const auto& item : items)
      scores.push_back({.reward = static_cast<double>(std::hash<std::string_view>()(item.text) % 2)});
    return scores;
  }
};

struct Measured {
  double rollout = 0.0, reward = 0.0, update = 0.0, hidden = 0.0, step = 0.0;  // seconds
  int64_t sampled = 0, trained = 0;                                            // tokens
  double peak = 0.0;                                                           // bytes
};

class Bench {
 public:
  Bench(const std::string& shape, at::ScalarType dtype) : size_(size_of(shape)) {
    policy_.model = testing::random_model(testing::shape_of(shape.substr(0, shape.find("-short"))), dtype);
    policy_.tokenizer = std::make_unique<IdsAsText>();
    const int64_t vocabulary = policy_.model->config().vocab_size;
    for (int64_t id = 0; size_.mean_length > 0 && id < vocabulary; id += size_.mean_length)
      policy_.stop_ids.push_back(id);
    config_.rollout.prompts_per_step = size_.pairs;
    config_.rollout.max_sequences.value = 2 * size_.pairs;
    config_.rollout.max_new_tokens = size_.max_new_tokens;
    config_.data.max_prompt_tokens = size_.prompt;
    config_.trainer.micro_batch_tokens = size_.micro_batch_tokens;
    config_.optimizer.lr = 0.0;  // every measurement samples the same completions
    config_.optimizer.warmup_updates = 0;
  }

  trainer::TrainConfig& config() { return config_; }

  // Takes a step that warms up and three more. Returns means over these; tokens are added up.
  Measured measure() {
    const auto& shape = policy_.model->config();
    plan_ = trainer::plan_memory(shape, config_, static_cast<int64_t>(c10::elementSize(policy_.model->dtype())),
                                 {.ranks = 1, .cuda = kDevice.is_cuda(), .memory_bytes = memory()});
    const nn::AttentionHeads heads{
        .heads = shape.num_heads, .kv_heads = shape.num_kv_heads, .head_dim = shape.head_dim};
    policy_.model->set_training_options(
        {.recompute = plan_.recompute, .attention = nn::choose_attention(heads, policy_.model->dtype(), kDevice, {})});
    optim::Optimizer optimizer(policy_.model->parameters(), config_.optimizer);
    rollout::Engine engine(*policy_.model,
                           {.max_sequences = *config_.rollout.max_sequences.value, .beside_gb = plan_.beside_kv_gb()});
    if (kDevice.is_cuda()) c10::getDeviceAllocator(kDevice.type())->resetPeakStats(kDevice.index());
    run_step(engine, optimizer, 0);
    Measured mean;
    constexpr int64_t kSteps = 3;
    for (int64_t step = 1; step <= kSteps; ++step) {
      const Measured one = run_step(engine, optimizer, step);
      mean.rollout += one.rollout / kSteps;
      mean.reward += one.reward / kSteps;
      mean.update += one.update / kSteps;
      mean.hidden += one.hidden / kSteps;
      mean.step += one.step / kSteps;
      mean.sampled += one.sampled;
      mean.trained += one.trained;
    }
    mean.peak =
        kDevice.is_cuda() ? models::peak_device_bytes(kDevice) : static_cast<double>(metrics::peak_memory_bytes());
    return mean;
  }

  double planned() const { return plan_.peak(); }

 private:
  static double memory() {
    return kDevice.is_cuda() ? models::device_memory_bytes(kDevice) : static_cast<double>(base::usable_memory_bytes());
  }

  Measured run_step(rollout::Engine& engine, optim::Optimizer& optimizer, int64_t step) {
    update::TokenBudget budget(plan_.micro_batch_tokens);
    const trainer::StepContext context{.config = config_,
                                       .policy = policy_,
                                       .engine = engine,
                                       .reward = reward_,
                                       .learner = {.model = *policy_.model,
                                                   .reference = nullptr,
                                                   .optimizer = optimizer,
                                                   .communicator = *communicator_,
                                                   .budget = budget,
                                                   .objective = trainer::objective_of(config_),
                                                   .total_updates = 100},
                                       .step = step,
                                       .longest_prompt = size_.prompt,
                                       .should_stop = {}};
    trainer::Draws draws(
        [this, step](size_t number) -> trainer::Draw {
          const auto q = static_cast<int64_t>(number);
          trainer::Prompt prompt;
          for (int64_t t = 0; t < size_.prompt; ++t)
            prompt.ids.push_back(100 + (q * 7919 + t * 104729) % (policy_.model->config().vocab_size - 100));
          return {.prompt = std::move(prompt),
                  .ordinal = static_cast<uint64_t>(step * size_.pairs + q),
                  .size = config_.rollout.group_size};
        },
        size_.pairs, size_.pairs* config_.rollout.group_size);
    Measured measured;
    trainer::StepResult result;
    measured.step = testing::seconds([&] { result = trainer::grpo_step(context, draws); });
    const auto& stats = result.stats;
    measured.rollout = stats.rollout_s;
    measured.reward = stats.reward_s;
    measured.update = stats.update_s;
    measured.hidden = stats.update_hidden_s.value_or(0.0);
    measured.sampled = stats.tokens_completion;
    measured.trained = stats.update.tokens;
    return measured;
  }

  const Size size_;
  trainer::TrainConfig config_;
  trainer::Policy policy_;
  ByText reward_;
  std::unique_ptr<dist::Communicator> communicator_ = dist::make_communicator({.backend = dist::Backend::kSingle});
  trainer::MemoryPlan plan_;
};

void print_step(const std::string& shape, const char* dtype, const std::string& what, const Measured& step,
                double planned) {
  print({{"bench", "grpo step"},
         {"model", shape},
         {"dtype", dtype},
         {"what", what},
         {"tokens_sampled", step.sampled},
         {"tokens_trained", step.trained},
         {"step_s", step.step},
         {"rollout_s", step.rollout},
         {"reward_s", step.reward},
         {"update_s", step.update},
         {"hidden_s", step.hidden},
         {"rest_share", (step.step - step.rollout - step.reward - step.update) / step.step},
         {"peak_gb", step.peak / 1e9},
         {"planned_gb", planned / 1e9}});
}

void print_ratio(const std::string& shape, const std::string& what, double without, double with) {
  print({{"bench", "ratios"},
         {"model", shape},
         {"what", what},
         {"seconds_without", without},
         {"seconds_with", with},
         {"ratio", without / with}});
}

}  // namespace

int main(int argc, char** argv) {
  auto arguments = testing::take_device(argc, argv);
  const auto plain_only = std::find(arguments.begin(), arguments.end(), "--plain");
  const bool only_plain = plain_only != arguments.end();
  if (only_plain) arguments.erase(plain_only);
  if (arguments.size() != 2) {
    std::fprintf(stderr,
                 "usage: grpo_step_bench 1.5b|1.5b-short|7b|smollm2-135m|tiny bf16|fp32 [--device cpu] [--plain]\n");
    return 2;
  }
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 1);  // before the device is used; deterministic steps need it
  testing::need_device();
  at::set_num_threads(base::usable_cores());
  const std::string& shape = arguments[0];
  const at::ScalarType dtype = arguments[1] == "bf16" ? at::kBFloat16 : at::kFloat;
  const char* name = arguments[1] == "bf16" ? "bf16" : "fp32";
  Bench bench(shape, dtype);

  const Measured plain = bench.measure();
  print_step(shape, name, "plain", plain, bench.planned());
  if (only_plain) return 0;

  bench.config().algorithm.entropy_coef = 1e-9;  // every group has a gradient
  const Measured all = bench.measure();
  print_step(shape, name, "tied groups trained too", all, bench.planned());
  print_ratio(shape, "skipping tied groups: update", all.update, plain.update);
  print_ratio(shape, "skipping tied groups: step", all.step, plain.step);
  bench.config().algorithm.entropy_coef = 0.0;

  bench.config().trainer.stream_update = true;
  const Measured streamed = bench.measure();
  print_step(shape, name, "streamed update", streamed, bench.planned());
  print_ratio(shape, "streamed update: step", plain.step, streamed.step);
  bench.config().trainer.stream_update = false;

  if (kDevice.is_cpu()) return 0;  // on the CPU deterministic steps use the same kernels
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  const Measured deterministic = bench.measure();
  print_step(shape, name, "deterministic", deterministic, bench.planned());
  print_ratio(shape, "deterministic: step", plain.step, deterministic.step);
  return 0;
}
