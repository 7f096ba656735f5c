#include "grpo/nn/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <numeric>

#include "grpo/kernels/upload.h"
#include "nn/kept_plan.h"
#include "nn/padded_rows.h"
#include "nn/shared_prompt_attention.h"

namespace grpo::nn {
namespace {

// The largest share of padding in a bucket's rows. A sequence that would exceed it begins a new bucket.
constexpr double kMostPadding = 0.25;

std::vector<size_t> by_length(const std::vector<int64_t>& offsets) {
  std::vector<size_t> order(offsets.size() - 1);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return offsets[a + 1] - offsets[a] > offsets[b + 1] - offsets[b]; });
  return order;
}

// Sorts the sequences by length, the longest first, and begins a new bucket when padding would exceed kMostPadding.
std::vector<std::vector<size_t>> split_into_buckets(const std::vector<int64_t>& offsets) {
  std::vector<std::vector<size_t>> buckets;
  int64_t longest = 0;
  int64_t rows = 0;
  for (const size_t s : by_length(offsets)) {
    const int64_t length = offsets[s + 1] - offsets[s];
    const auto padded =
        static_cast<double>(longest * static_cast<int64_t>(buckets.empty() ? 0 : buckets.back().size() + 1));
    // Short sequences stay in one bucket, because an extra call costs more than their padding.
    const bool wasteful = longest > 64 && padded - static_cast<double>(rows + length) > kMostPadding * padded;
    if (buckets.empty() || wasteful) {
      buckets.emplace_back();
      longest = length;
      rows = 0;
    }
    buckets.back().push_back(s);
    rows += length;
  }
  return buckets;
}

AttentionPlan::Side side_of(const std::vector<std::pair<int64_t, int64_t>>& ranges, kernels::Upload& upload) {
  AttentionPlan::Side side;
  std::vector<int64_t> rows;
  std::vector<int64_t> offsets = {0};
  for (const auto& [begin, end] : ranges) {
    for (int64_t row = begin; row < end; ++row) rows.push_back(row);
    offsets.push_back(static_cast<int64_t>(rows.size()));
    side.longest = std::max(side.longest, end - begin);
  }
  side.rows = upload(at::tensor(rows, at::kLong));
  side.offsets = upload(at::tensor(offsets, at::kInt));
  return side;
}

// A family for each text, or for all that share a prompt.
std::vector<kernels::PackedFamily> families_of(const std::vector<int64_t>& offsets,
                                               const std::vector<SharedPrompt>& shared) {
  std::vector<kernels::PackedFamily> families;
  auto next = shared.begin();
  for (size_t s = 0; s + 1 < offsets.size();) {
    const size_t end = next != shared.end() && next->prompt == s ? (next++)->end : s + 1;
    families.push_back({{offsets.begin() + static_cast<int64_t>(s), offsets.begin() + static_cast<int64_t>(end) + 1}});
    s = end;
  }
  return families;
}

}  // namespace

std::string to_string(AttentionKernel kernel) {
  switch (kernel) {
    case AttentionKernel::kPadded:
      return "padded";
    case AttentionKernel::kFlash:
      return "flash";
    case AttentionKernel::kOwn:
      break;
  }
  return "own";
}

bool has_own_attention(at::ScalarType dtype, at::Device device) {
  return device.is_cpu() && (dtype == at::kFloat || dtype == at::kBFloat16);
}

AttentionPlan plan_attention(const std::vector<int64_t>& offsets, at::Device device, AttentionKernel kernel,
                             const std::vector<SharedPrompt>& shared) {
  AttentionPlan plan;
  plan.kernel = kernel;
  if (kernel == AttentionKernel::kOwn) {
    plan.families = families_of(offsets, shared);
    return plan;
  }
  for (const auto& [prompt, end] : shared)
    plan.shared.push_back({.begin = offsets[prompt], .end = offsets[prompt + 1], .last = offsets[end]});
  kernels::Upload upload(device, /*in_place=*/false);
  if (kernel != AttentionKernel::kPadded) {
    plan.offsets = upload(at::tensor(offsets, at::kInt));
    for (size_t s = 0; s + 1 < offsets.size(); ++s) plan.longest = std::max(plan.longest, offsets[s + 1] - offsets[s]);
    if (plan.shared.empty()) return plan;
    std::vector<std::pair<int64_t, int64_t>> completions, prompts;
    for (const auto& [begin, end, last] : plan.shared) {
      prompts.emplace_back(begin, end);
      completions.emplace_back(end, last);
    }
    plan.completions = side_of(completions, upload);
    plan.prompts = side_of(prompts, upload);
    return plan;
  }
  std::vector<int64_t> place(static_cast<size_t>(offsets.back()));
  int64_t next = 0;
  for (const auto& members : split_into_buckets(offsets)) {
    AttentionPlan::Bucket bucket;
    bucket.sequences = static_cast<int64_t>(members.size());
    bucket.length = offsets[members.front() + 1] - offsets[members.front()];
    std::vector<int64_t> gather;
    std::vector<int64_t> valid;
    for (const size_t s : members) {
      const int64_t length = offsets[s + 1] - offsets[s];
      for (int64_t t = 0; t < bucket.length; ++t) {
        if (t < length) {
          place[static_cast<size_t>(offsets[s] + t)] = next++;
          valid.push_back(static_cast<int64_t>(gather.size()));
        }
        gather.push_back(offsets[s] + std::min(t, length - 1));
      }
    }
    bucket.dense = valid.size() == gather.size();
    bucket.in_place = bucket.dense && gather.size() == place.size() && std::is_sorted(gather.begin(), gather.end());
    bucket.gather = upload(at::tensor(gather, at::kLong));
    bucket.valid = upload(at::tensor(valid, at::kLong));
    if (!shared.empty()) bucket.rows = bucket.dense ? bucket.gather : bucket.gather.index_select(0, bucket.valid);
    plan.buckets.push_back(bucket);
  }
  if (!std::is_sorted(place.begin(), place.end())) plan.unsort = upload(at::tensor(place, at::kLong));
  return plan;
}

namespace {

at::Tensor flash_attention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                           const AttentionPlan& plan, double scale) {
  return std::get<0>(
      at::_flash_attention_forward(queries, keys, values, plan.offsets, plan.offsets, plan.longest, plan.longest,
                                   /*dropout_p=*/0.0, /*is_causal=*/true, /*return_debug_mask=*/false, scale));
}

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class OwnAttentionNode : public torch::autograd::Function<OwnAttentionNode> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& queries, const at::Tensor& keys,
                            const at::Tensor& values, const AttentionPlan& plan, double scale) {
    const auto result = kernels::packed_attention(queries, keys, values, plan.families, scale);
    context->save_for_backward({queries, keys, values, result.out, result.log_sums});
    context->saved_data["plan"] = keep_plan(plan);
    context->saved_data["scale"] = scale;
    return result.out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto& plan = kept_plan(context->saved_data["plan"]);
    const auto all = kernels::packed_attention_backward(grads[0], saved[0], saved[1], saved[2], {saved[3], saved[4]},
                                                        plan.families, context->saved_data["scale"].toDouble());
    return {all.queries, all.keys, all.values, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor padded_rows(const at::Tensor& x, const AttentionPlan::Bucket& bucket, int64_t repeat) {
  const auto slots = bucket.in_place ? x : x.index_select(0, bucket.gather);
  const auto rows = slots.unflatten(0, {bucket.sequences, bucket.length}).transpose(1, 2);
  return repeat == 1 ? rows : rows.repeat_interleave(repeat, 1);
}

at::Tensor unpadded_rows(const at::Tensor& x, const AttentionPlan::Bucket& bucket) {
  const auto rows = x.transpose(1, 2).flatten(0, 1);
  return bucket.dense ? rows : rows.index_select(0, bucket.valid);
}

at::Tensor packed_attention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                            const AttentionPlan& plan, double scale) {
  if (plan.kernel == AttentionKernel::kOwn) return OwnAttentionNode::apply(queries, keys, values, plan, scale);
  if (!plan.shared.empty()) return shared_prompt_attention(queries, keys, values, plan, scale);
  if (plan.kernel == AttentionKernel::kFlash) return flash_attention(queries, keys, values, plan, scale);
  const int64_t group = queries.size(1) / keys.size(1);
  std::vector<at::Tensor> outputs;
  for (const auto& bucket : plan.buckets) {
    outputs.push_back(unpadded_rows(
        at::scaled_dot_product_attention(padded_rows(queries, bucket), padded_rows(keys, bucket, group),
                                         padded_rows(values, bucket, group), {}, 0.0, /*is_causal=*/true, scale),
        bucket));
  }
  const auto all = outputs.size() == 1 ? outputs.front() : at::cat(outputs, 0);
  return plan.unsort.defined() ? all.index_select(0, plan.unsort) : all;
}

}  // namespace grpo::nn
