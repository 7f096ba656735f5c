#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "grpo/optim/optimizer_config.h"

namespace grpo::optim {

/// A parameter that is updated, or one rank's flat piece of it. All tensors are fp32 and of one shape.
struct UpdateItem {
  at::Tensor master;
  at::Tensor gradient;            // clipped; a rule may overwrite it
  std::vector<at::Tensor> state;  // as UpdateRule::state_names() says
  bool decays = false;
};

/// The formula of an optimizer. It knows nothing of ranks, of copies in a lower dtype or of where the state is kept
/// (Optimizer does).
class UpdateRule {
 public:
  virtual ~UpdateRule() = default;

  /// The names of what is kept of each parameter from update to update; all of it is 0 at first. In a checkpoint it is
  /// called `<state name>.<parameter>`.
  virtual const std::vector<std::string>& state_names() const = 0;

  /// Formulas that look at whole matrices work in three parts, so that each rank can hold pieces of a matrix: prepare()
  /// advances the state and leaves in `gradient` what direction() reads of the whole matrix; when apply() is called,
  /// `gradient` is a piece of direction()'s result.
  virtual bool reads_whole_matrices() const { return false; }
  virtual void prepare(std::vector<UpdateItem>&) const {}
  virtual at::Tensor direction(const at::Tensor& matrix) const { return matrix; }

  /// Changes the masters, and also the state where the rule has no prepare(). update: the number of the update, from 1.
  virtual void apply(std::vector<UpdateItem>& items, double lr, int64_t update) const = 0;
};

/// The two rules; their formulas stand in grpo/optim/optimizer.h.
std::unique_ptr<UpdateRule> make_adamw(const OptimizerConfig& config);
std::unique_ptr<UpdateRule> make_muon(const OptimizerConfig& config);

}  // namespace grpo::optim
