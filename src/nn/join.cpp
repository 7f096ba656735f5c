#include "nn/join.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/cat.h>

#include <algorithm>

#include "grpo/base/error.h"

namespace grpo::nn {
namespace {

bool follows(const at::Tensor& next, const at::Tensor& part) {
  return next.is_contiguous() && part.is_contiguous() && next.is_alias_of(part) &&
         next.scalar_type() == part.scalar_type() && next.storage_offset() == part.storage_offset() + part.numel();
}

}  // namespace

at::Tensor join_rows(const std::vector<at::Tensor>& parts) {
  const auto defined = std::count_if(parts.begin(), parts.end(), [](const at::Tensor& x) { return x.defined(); });
  if (defined == 0) return {};
  GRPO_CHECK(defined == static_cast<int64_t>(parts.size()), "of ", parts.size(), " neighbours ", defined, " are there");
  auto sizes = parts[0].sizes().vec();
  for (size_t i = 1; i < parts.size(); ++i) {
    if (!follows(parts[i], parts[i - 1])) return at::cat(parts);
    sizes[0] += parts[i].size(0);
  }
  return parts[0].as_strided(sizes, parts[0].strides(), parts[0].storage_offset());
}

std::vector<at::Tensor> split_like(const at::Tensor& x, const std::vector<at::Tensor>& parts, int64_t dim) {
  const at::AutoDispatchBelowADInplaceOrView untracked;
  std::vector<at::Tensor> pieces;
  int64_t begin = 0;
  for (const at::Tensor& part : parts) {
    pieces.push_back(x.narrow(dim, begin, part.size(0)));
    begin += part.size(0);
  }
  return pieces;
}

}  // namespace grpo::nn
