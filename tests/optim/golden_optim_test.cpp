// AdamW, clipping and schedules against torch's AdamW, clip_grad_norm_ and transformers' schedules
// (tests/golden/README.md, optim). Tolerances: 5e-6 absolute for weights, moments and norms (README; norms and moments
// relative where above 1), 1e-12 for rates.
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "grpo/io/safetensors.h"
#include "grpo/optim/optimizer.h"
#include "grpo/optim/schedule.h"
#include "support/golden.h"

namespace grpo::optim {
namespace {

constexpr double kTolerance = 5e-6;

// An fp32 or float64 tensor of a safetensors file, copied.
at::Tensor read(const io::Safetensors& file, const std::string& name) {
  const auto& stored = file.at(name);
  auto tensor = at::empty(stored.shape, stored.dtype == io::DType::kF64 ? at::kDouble : at::kFloat);
  EXPECT_EQ(stored.bytes.size(), tensor.nbytes()) << name;
  std::memcpy(tensor.mutable_data_ptr(), stored.bytes.data(), tensor.nbytes());
  return tensor;
}

std::vector<std::string> names_after(const io::Safetensors& file, const std::string& prefix) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : file.tensors()) {
    if (name.starts_with(prefix)) names.push_back(name.substr(prefix.size()));
  }
  return names;
}

double difference(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs() / b.abs().clamp_min(1.0)).max().item<double>();
}

// Our schedule of a name of transformers, whose plain `constant` has no warm-up.
void set_schedule(const std::string& name, int64_t warmup, double min_lr_rate, OptimizerConfig& config) {
  config.schedule = name.starts_with("cosine") ? Schedule::kCosine
                    : name == "linear"         ? Schedule::kLinear
                                               : Schedule::kConstant;
  config.warmup_updates = name == "constant" ? 0 : warmup;
  config.min_lr_ratio = min_lr_rate;
}

OptimizerConfig config_of(const nlohmann::json& golden) {
  OptimizerConfig config;
  config.lr = golden.at("lr");
  config.betas = golden.at("betas").get<std::vector<double>>();
  config.eps = golden.at("eps");
  config.weight_decay = golden.at("weight_decay");
  config.clip_grad_norm =
      golden.at("max_grad_norm").is_null() ? std::nullopt : std::optional(golden.at("max_grad_norm").get<double>());
  const auto rate = golden.contains("schedule_args") ? golden.at("schedule_args").value("min_lr_rate", 0.0) : 0.0;
  set_schedule(golden.at("schedule"), golden.at("warmup"), rate, config);
  return config;
}

class GoldenCase {
 public:
  explicit GoldenCase(const nlohmann::json& golden)
      : golden_(golden),
        file_(io::Safetensors::open(testing::golden_section("optim") /
                                    (golden.at("name").get<std::string>() + ".safetensors"))) {
    for (const auto& name : names_after(file_, "init."))
      parameters_.emplace_back(name, read(file_, "init." + name).requires_grad_());
  }

  void run() {
    const auto decayed = golden_.at("decayed").get<std::vector<std::string>>();
    Optimizer optimizer(parameters_, config_of(golden_), {.decays = [&](const std::string& name, const at::Tensor&) {
                          return std::find(decayed.begin(), decayed.end(), name) != decayed.end();
                        }});
    const auto steps = golden_.at("num_steps").get<int64_t>();
    ASSERT_GT(steps, 0);
    ASSERT_FALSE(parameters_.empty());
    for (int64_t step = 0; step < steps; ++step) run_step(optimizer, step, steps);
    for (const auto& [name, moment] : optimizer.state_tensors(false)) {
      EXPECT_LE(difference(moment, read(file_, name)), kTolerance) << name;
    }
  }

 private:
  void run_step(Optimizer& optimizer, int64_t step, int64_t steps) {
    for (auto& [name, parameter] : parameters_) parameter.mutable_grad() = read(file_, "grads." + name)[step].clone();
    optimizer.accumulate();
    const auto result = optimizer.step(steps);
    ASSERT_TRUE(result.applied);
    EXPECT_NEAR(result.lr, read(file_, "lr")[step].item<double>(), 1e-12) << step;
    const double norm = read(file_, "grad_norm")[step].item<double>();
    EXPECT_NEAR(result.grad_norm, norm, kTolerance * std::max(1.0, norm)) << step;
    for (const auto& [name, parameter] : parameters_) {
      EXPECT_LE((parameter.detach() - read(file_, "params." + name)[step]).abs().max().item<double>(), kTolerance)
          << name << " " << step;
    }
  }

  const nlohmann::json& golden_;
  io::Safetensors file_;
  NamedTensors parameters_;
};

TEST(GoldenOptim, WeightsMomentsRatesAndNormsAgreeAtEveryStep) {
  const auto file = testing::read_golden_json(testing::golden_section("optim") / "cases.json");
  ASSERT_FALSE(file.at("cases").empty());
  for (const auto& golden : file.at("cases")) {
    SCOPED_TRACE(golden.at("name").get<std::string>());
    GoldenCase(golden).run();
  }
}

TEST(GoldenOptim, SchedulesAgree) {
  const auto file = testing::read_golden_json(testing::golden_section("optim") / "schedules.json");
  int64_t compared = 0;
  for (const auto& golden : file.at("cases")) {
    const auto& rate = golden.at("min_lr_rate");
    OptimizerConfig config;
    set_schedule(golden.at("schedule"), golden.at("warmup"), rate.is_null() ? 0.0 : rate.get<double>(), config);
    const auto total = golden.at("total").get<int64_t>();
    const auto factors = golden.at("factor").get<std::vector<double>>();
    for (size_t i = 0; i < factors.size(); ++i, ++compared) {
      EXPECT_NEAR(lr_factor(config, static_cast<int64_t>(i), total), factors[i], 1e-12)
          << golden.at("schedule") << " " << i << "/" << total;
    }
  }
  EXPECT_GT(compared, 0);
}

}  // namespace
}  // namespace grpo::optim
