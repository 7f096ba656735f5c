#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "grpo/optim/optimizer_config.h"

namespace grpo::optim {

/// A parameter that is updated, or one rank's flat piece of it. All tensors are fp32 and have the same shape.
struct UpdateItem {
  at::Tensor master;
  at::Tensor gradient;            // clipped; a rule may overwrite it
  std::vector<at::Tensor> state;  // in the order of UpdateRule::state_names()
  bool decays = false;
};

/// The formula of an optimizer. It knows nothing of ranks, of weights in a lower dtype or of where the state is kept;
/// Optimizer takes care of those.
class UpdateRule {
 public:
  virtual ~UpdateRule() = default;

  /// The names of the tensors that are kept for each parameter from update to update; they begin as 0. In a checkpoint
  /// they are called `<state name>.<parameter>`.
  virtual const std::vector<std::string>& state_names() const = 0;

  /// Formulas that read whole matrices work in three parts, so that each rank can hold pieces of a matrix. prepare()
  /// advances the state and leaves in `gradient` its piece of the matrix that direction() reads. direction() maps the
  /// whole matrix to the direction of the step. When apply() is called, `gradient` is a piece of that direction.
  virtual bool reads_whole_matrices() const { return false; }
  virtual void prepare(std::vector<UpdateItem>&) const {}
  virtual at::Tensor direction(const at::Tensor& matrix) const { return matrix; }

  /// Changes the masters, and the state unless prepare() did. `update` is the number of the update, from 1.
  virtual void apply(std::vector<UpdateItem>& items, double lr, int64_t update) const = 0;
};

/// The two rules; grpo/optim/optimizer.h has their formulas.
std::unique_ptr<UpdateRule> make_adamw(const OptimizerConfig& config);
std::unique_ptr<UpdateRule> make_muon(const OptimizerConfig& config);

}  // namespace grpo::optim
