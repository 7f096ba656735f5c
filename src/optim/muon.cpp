#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <cmath>

#include "optim/update_rule.h"

namespace grpo::optim {
namespace {

// Coefficients of the quintic iteration that brings singular values in (0, 1] close to 1 in five steps. They give up
// exactness (results lie between 0.68 and 1.13) for a steep start, which small singular values need.
constexpr double kLinear = 3.4445, kCubic = -4.7750, kQuintic = 2.0315;
constexpr int kSteps = 5;

// The root mean square of the elements of a typical AdamW update. Updates are scaled to it, so that learning rates and
// decays chosen for AdamW can be kept.
constexpr double kRmsOfAdamW = 0.2;

constexpr double kTiny = 1e-30;  // keeps the direction of a zero gradient zero, without dividing 0 by 0

// Approximates U V^T, where U S V^T is the singular value decomposition of the matrix. On a GPU the products are
// computed in bf16, as the method was published.
at::Tensor orthogonalized(const at::Tensor& matrix) {
  const bool tall = matrix.size(0) > matrix.size(1);  // transposed, so that the Gram matrix is the smaller of the two
  auto x = (tall ? matrix.t() : matrix) / (matrix.norm() + kTiny);
  if (x.is_cuda()) x = x.to(at::kBFloat16);
  for (int step = 0; step < kSteps; ++step) {
    const auto gram = at::mm(x, x.t());
    const auto polynomial = at::addmm(gram, gram, gram, /*beta=*/kCubic, /*alpha=*/kQuintic);
    x = at::addmm(x, polynomial, x, /*beta=*/kLinear);
  }
  return (tall ? x.t() : x).to(at::kFloat);
}

class Muon : public UpdateRule {
 public:
  explicit Muon(const OptimizerConfig& config) : config_(config) {}

  const std::vector<std::string>& state_names() const override {
    static const std::vector<std::string> names = {"momentum_buffer"};
    return names;
  }
  bool reads_whole_matrices() const override { return true; }

  void prepare(std::vector<UpdateItem>& items) const override {
    for (UpdateItem& item : items) {
      at::Tensor& momentum = item.state[0];
      momentum.mul_(config_.momentum).add_(item.gradient);
      item.gradient.add_(momentum, config_.momentum);
    }
  }

  at::Tensor direction(const at::Tensor& matrix) const override {
    const auto larger = static_cast<double>(std::max(matrix.size(0), matrix.size(1)));
    return orthogonalized(matrix).mul_(kRmsOfAdamW * std::sqrt(larger));
  }

  void apply(std::vector<UpdateItem>& items, double lr, int64_t) const override {
    for (UpdateItem& item : items) {
      if (item.decays) item.master.mul_(1.0 - lr * config_.weight_decay);
      item.master.sub_(item.gradient, lr);
    }
  }

 private:
  OptimizerConfig config_;
};

}  // namespace

std::unique_ptr<UpdateRule> make_muon(const OptimizerConfig& config) { return std::make_unique<Muon>(config); }

}  // namespace grpo::optim
