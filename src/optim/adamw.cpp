#include <ATen/TensorOperators.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>

#include <array>

#include "optim/update_rule.h"

namespace grpo::optim {
namespace {

// The arguments of one call of LibTorch's fused AdamW, which takes one weight decay for all its parameters.
struct FusedGroup {
  std::vector<at::Tensor> masters, gradients, exp_avgs, exp_avg_sqs, updates;
};

class AdamW : public UpdateRule {
 public:
  explicit AdamW(const OptimizerConfig& config) : config_(config) {}

  const std::vector<std::string>& state_names() const override {
    static const std::vector<std::string> names = {"exp_avg", "exp_avg_sq"};
    return names;
  }

  void apply(std::vector<UpdateItem>& items, double lr, int64_t update) const override {
    if (items.empty()) return;
    std::array<FusedGroup, 2> groups;  // by UpdateItem::decays
    const auto counter = at::full({}, static_cast<double>(update), items[0].gradient.options());
    for (const UpdateItem& item : items) {
      FusedGroup& group = groups.at(item.decays ? 1 : 0);
      group.masters.push_back(item.master);
      group.gradients.push_back(item.gradient);
      group.exp_avgs.push_back(item.state[0]);
      group.exp_avg_sqs.push_back(item.state[1]);
      group.updates.push_back(counter);
    }
    fused(groups[0], lr, 0.0);
    fused(groups[1], lr, config_.weight_decay);
  }

 private:
  void fused(FusedGroup& group, double lr, double weight_decay) const {
    if (group.masters.empty()) return;
    at::_fused_adamw_(group.masters, group.gradients, group.exp_avgs, group.exp_avg_sqs, /*max_exp_avg_sqs=*/{},
                      group.updates, lr, config_.betas[0], config_.betas[1], weight_decay, config_.eps,
                      /*amsgrad=*/false, /*maximize=*/false);
  }

  OptimizerConfig config_;
};

}  // namespace

std::unique_ptr<UpdateRule> make_adamw(const OptimizerConfig& config) { return std::make_unique<AdamW>(config); }

}  // namespace grpo::optim
