#include "algo/golden_arrays.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "grpo/algo/packed.h"
#include "grpo/base/error.h"

namespace grpo::algo {

at::Tensor golden_array(const nlohmann::json& array) {
  const auto shape = array.at("shape").get<std::vector<int64_t>>();
  const auto dtype = array.at("dtype").get<std::string>();
  if (dtype == "int64") return at::tensor(array.at("data").get<std::vector<int64_t>>(), at::kLong).reshape(shape);
  const auto values = at::tensor(array.at("data").get<std::vector<double>>(), at::kDouble).reshape(shape);
  if (dtype == "float32") return values.to(at::kFloat);
  if (dtype == "float64") return values;
  throw std::runtime_error("golden array of dtype " + dtype);
}

PackedRows::PackedRows(const nlohmann::json& golden_case, bool counted_only)
    : mask_(golden_array(golden_case.at("mask")).to(at::kBool)) {
  const auto flat = mask_.flatten();
  places_ = counted_only ? flat.nonzero().flatten() : at::arange(flat.numel(), at::kLong);
  if (!counted_only) packed_mask_ = flat;
  offsets_ = {0};
  for (int64_t row = 0; row < mask_.size(0); ++row) {
    offsets_.push_back(offsets_.back() + (counted_only ? mask_[row].sum().item<int64_t>() : mask_.size(1)));
  }
}

at::Tensor PackedRows::pack(const at::Tensor& rows) const {
  const auto full = rows.dim() == 1 ? rows.unsqueeze(1).expand_as(mask_) : rows;
  return full.flatten().index_select(0, places_);
}

at::Tensor PackedRows::unpack(const at::Tensor& values) const {
  return at::zeros({mask_.numel()}, values.options()).index_copy(0, places_, values).view_as(mask_);
}

double PackedRows::tokens() const { return mask_.sum().item<double>(); }

namespace {

// token_weights() in double: its own weights are float32, which is too coarse for what is compared in double.
at::Tensor weights_in_double(const std::vector<int64_t>& ends, Aggregation aggregation, double scale) {
  auto weights = at::full({ends.back()}, scale, at::kDouble);
  for (size_t i = 0; i + 1 < ends.size() && aggregation == Aggregation::kSeqMeanTokenMean; ++i)
    weights.narrow(0, ends[i], ends[i + 1] - ends[i]).div_(static_cast<double>(ends[i + 1] - ends[i]));
  return weights;
}

}  // namespace

at::Tensor weighted_loss(const at::Tensor& terms, at::IntArrayRef offsets, Aggregation aggregation,
                         const Denominators& denominators, const at::Tensor& mask) {
  const auto counted = mask.defined() ? terms.masked_select(mask) : terms;
  const auto lengths = tokens_per_rollout(mask, offsets);
  std::vector<int64_t> ends = {0};
  for (int64_t i = 0; i < lengths.size(0); ++i)
    ends.push_back(ends.back() + static_cast<int64_t>(lengths[i].item<double>()));
  const double scale = loss_scale(aggregation, denominators);
  const auto weights = terms.scalar_type() == at::kDouble ? weights_in_double(ends, aggregation, scale)
                                                          : token_weights(ends, aggregation, scale);
  return (counted * weights).sum();
}

double measured(const std::vector<Measure>& measures, const std::string& name) {
  double value = 0.0;
  for (const Measure& measure : measures) value += measure.name == name ? measure.value.item<double>() : 0.0;
  return value;
}

double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  GRPO_CHECK(a.sizes() == b.sizes(), a.sizes(), " against ", b.sizes());
  const auto x = a.detach().to(at::kDouble), y = b.detach().to(at::kDouble);
  if (x.numel() == 0) return 0.0;
  return (x - y).abs().max().item<double>() / std::max(1e-3, y.abs().max().item<double>());
}

Tally::~Tally() {
  std::cout << what_ << ": " << compared_ << " compared";
  for (const auto& [reason, count] : not_mapped_) std::cout << ", " << count << " not mapped (" << reason << ")";
  std::cout << "\n";
}

}  // namespace grpo::algo
