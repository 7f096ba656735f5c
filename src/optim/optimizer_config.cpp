#include "grpo/optim/optimizer_config.h"

#include "grpo/base/error.h"

namespace grpo::optim {

void validate(const OptimizerConfig& config) {
  if (config.betas.size() != 2) {
    throw base::ConfigError(
        base::concat("optimizer.betas: expected two numbers such as [0.9, 0.999], got ", config.betas.size()));
  }
  for (const double beta : config.betas) {
    if (!(beta >= 0.0 && beta < 1.0))
      throw base::ConfigError(base::concat("optimizer.betas: ", beta, " is not in [0, 1)"));
  }
  if (config.momentum >= 1.0)
    throw base::ConfigError(base::concat("optimizer.momentum: ", config.momentum, " is not below 1"));
  if (config.kind != OptimizerKind::kMuon && config.momentum != OptimizerConfig{}.momentum) {
    throw base::ConfigError("optimizer.momentum belongs to kind muon; AdamW's is the first of optimizer.betas");
  }
  if (config.schedule == Schedule::kConstant && config.min_lr_ratio != 0.0) {
    throw base::ConfigError(
        base::concat("optimizer.min_lr_ratio: ", config.min_lr_ratio,
                     " has no effect with schedule constant; use linear or cosine, or leave it out"));
  }
}

}  // namespace grpo::optim
