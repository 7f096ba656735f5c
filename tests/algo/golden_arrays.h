#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "grpo/algo/aggregation.h"
#include "grpo/algo/measure.h"

namespace grpo::algo {

/// An array object of the golden files ({"shape", "dtype", "data"}) as a tensor of its dtype. A float32 is read as a
/// double and then rounded.
at::Tensor golden_array(const nlohmann::json& array);

/// A [B, T] batch of the loss files as packed rollouts, with all T places and a mask, or with the counted tokens only.
class PackedRows {
 public:
  PackedRows(const nlohmann::json& golden_case, bool counted_only);

  at::Tensor pack(const at::Tensor& rows) const;      // [B, T] or [B] (repeated over T) -> [N]
  at::Tensor unpack(const at::Tensor& values) const;  // [N] -> [B, T], 0 where nothing was packed
  const std::vector<int64_t>& offsets() const { return offsets_; }
  const at::Tensor& mask() const { return packed_mask_; }  // [N] bool, or undefined when counted_only
  const at::Tensor& row_mask() const { return mask_; }     // [B, T] bool
  double tokens() const;

 private:
  at::Tensor mask_;
  at::Tensor places_;  // [N] indices into B * T
  at::Tensor packed_mask_;
  std::vector<int64_t> offsets_;
};

/// The loss of packed terms: the sum of terms times token_weights() over the tokens that count, in double where the
/// terms are. mask: PackedRows::mask().
at::Tensor weighted_loss(const at::Tensor& terms, at::IntArrayRef offsets, Aggregation aggregation,
                         const Denominators& denominators, const at::Tensor& mask = {});

/// The value of the measure of that name; 0 if there is none.
double measured(const std::vector<Measure>& measures, const std::string& name);

/// The largest |a - b| divided by the largest |b|, which is taken to be at least 1e-3 because all of b may be zero.
double relative_difference(const at::Tensor& a, const at::Tensor& b);

/// Counts what a golden test compared and what it could not map, by reason; the totals are printed with the test.
class Tally {
 public:
  explicit Tally(std::string what) : what_(std::move(what)) {}
  ~Tally();
  void compared(int64_t n = 1) { compared_ += n; }
  void not_mapped(const std::string& reason) { ++not_mapped_[reason]; }
  int64_t num_compared() const { return compared_; }

 private:
  std::string what_;
  int64_t compared_ = 0;
  std::map<std::string, int64_t> not_mapped_;
};

}  // namespace grpo::algo
