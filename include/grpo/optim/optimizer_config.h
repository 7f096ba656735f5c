#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "grpo/base/fields.h"

namespace grpo::optim {

/// The course of the learning rate after the linear warm-up; lr_factor in schedule.h has the formulas.
enum class Schedule { kConstant, kLinear, kCosine };
std::vector<std::string> enum_names(Schedule);

/// Which formula of optimizer.h updates the weights: AdamW for all parameters, or Muon for the layers' matrices and
/// AdamW for the rest.
enum class OptimizerKind { kAdamW, kMuon };
inline std::vector<std::string> enum_names(OptimizerKind) { return {"adamw", "muon"}; }

struct OptimizerConfig {
  OptimizerKind kind = OptimizerKind::kAdamW;
  double lr = 1e-6;
  int64_t warmup_updates = 0;
  Schedule schedule = Schedule::kConstant;
  double min_lr_ratio = 0.0;
  double weight_decay = 0.01;
  std::vector<double> betas = {0.9, 0.999};
  double eps = 1e-8;
  double momentum = 0.95;
  std::optional<double> clip_grad_norm = 1.0;
  bool decay_norms_and_biases = false;
  GRPO_FIELDS(f) {
    f("kind", kind,
      "formula: adamw, or muon for the layers' matrices with AdamW for embeddings, head, norms and biases");
    f("lr", lr, "learning rate after the warm-up", base::at_least(0));
    f("warmup_steps", warmup_updates, "updates over which the rate rises from 0 (the first has rate 0); 0 is off",
      base::at_least(0));
    f("schedule", schedule, "learning rate after the warm-up: constant, or to the end of the run linear or cosine");
    f("min_lr_ratio", min_lr_ratio, "share of lr that linear and cosine end at", base::between(0, 1));
    f("weight_decay", weight_decay, "decoupled weight decay", base::at_least(0));
    f("betas", betas, "decay rates of Adam's two moments");
    f("eps", eps, "added to the root of the second moment", base::above(0));
    f("momentum", momentum, "muon: decay rate of a matrix's momentum", base::at_least(0));
    f("clip_grad_norm", clip_grad_norm, "largest global gradient norm; 0 or null is off", base::at_least(0));
    f("decay_norms_and_biases", decay_norms_and_biases, "decay every parameter, not matrices only");
  }
};

/// Throws base::ConfigError for mistakes that the ranges of the keys cannot express: the number and bounds of betas,
/// and a min_lr_ratio that the constant schedule would ignore.
void validate(const OptimizerConfig& config);

}  // namespace grpo::optim
