#include "update/update_sums.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <utility>

#include "grpo/base/error.h"

namespace grpo::update {
namespace {

at::Tensor stacked(const std::vector<algo::Measure>& measures) {
  std::vector<at::Tensor> values;
  for (const auto& measure : measures) values.push_back(measure.value.to(at::kDouble));
  return at::stack(values);
}

}  // namespace

UpdateSums::UpdateSums(std::vector<algo::Measure> nothing, at::Device device)
    : nothing_(std::move(nothing)), values_(stacked(nothing_).to(device)) {}

void UpdateSums::add(const std::vector<algo::Measure>& measures) {
  const at::NoGradGuard no_grad;
  for (const auto& measure : measures) {
    const auto figure =
        std::find_if(nothing_.begin(), nothing_.end(), [&](const auto& known) { return known.name == measure.name; });
    GRPO_CHECK(figure != nothing_.end(), measure.name, " is not measured on nothing");
    auto value = values_[figure - nothing_.begin()];
    if (figure->fold == algo::Fold::kMax) {
      at::maximum_out(value, value, measure.value.to(at::kDouble));
    } else {
      value.add_(measure.value);
    }
  }
}

void UpdateSums::clear() { *this = UpdateSums(std::move(nothing_), values_.device()); }

void UpdateSums::send() { on_the_way_.emplace(std::vector<at::Tensor>{values_}); }

std::vector<Figure> UpdateSums::receive() {
  GRPO_CHECK(on_the_way_, "the sums were not sent");
  on_the_way_->wait();
  const double* values = (*on_the_way_)[0].const_data_ptr<double>();
  std::vector<Figure> figures;
  for (const auto& known : nothing_) figures.push_back({known.name, known.fold, *values++});
  return figures;
}

std::vector<Figure> figures_of(const std::vector<algo::Measure>& measures) {
  std::vector<Figure> figures;
  for (const auto& measure : measures) figures.push_back({measure.name, measure.fold, measure.value.item<double>()});
  return figures;
}

}  // namespace grpo::update
