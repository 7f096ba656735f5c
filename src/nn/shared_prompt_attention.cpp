#include "nn/shared_prompt_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <limits>

#include "nn/kept_plan.h"
#include "nn/padded_rows.h"

// T: packed rows, H: query heads, K: key heads, D: head_dim, n: rows of the completions of a prompt.

namespace grpo::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// ---- one attention over padded sequences

at::ScalarType sum_type(const at::Tensor& x) { return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }

at::Tensor scores_of(const at::Tensor& queries, const at::Tensor& keys, bool causal, double scale) {
  const auto wide = sum_type(queries);
  auto scores = at::matmul(queries.to(wide), keys.to(wide).transpose(-1, -2)) * scale;
  if (!causal) return scores;
  const auto seen = at::ones({queries.size(-2), keys.size(-2)}, queries.options().dtype(at::kBool)).tril();
  return scores.masked_fill_(seen.logical_not(), -std::numeric_limits<double>::infinity());
}

// ---- rows of the packed batch, as the parts need them

// Queries of one key head become rows of one sequence, which is possible because each of them attends to the whole
// prompt: [n, H, ...] -> [1, K, n * H / K, ...].
at::Tensor fold(const at::Tensor& rows, int64_t key_heads) {
  return rows.unflatten(1, {key_heads, -1}).transpose(0, 1).flatten(1, 2).unsqueeze(0);
}

at::Tensor unfold(const at::Tensor& x, int64_t rows) {
  return x[0].unflatten(1, {rows, -1}).transpose(0, 1).flatten(1, 2);
}

// The rows of a prompt's keys or values: [P, K, D] -> [1, K, P, D].
at::Tensor heads_first(const at::Tensor& rows) { return rows.transpose(0, 1).unsqueeze(0); }

// The gradient of heads that padded_rows() has repeated.
at::Tensor sum_repeated(const at::Tensor& x, int64_t repeat) {
  return repeat == 1 ? x : x.unflatten(1, {-1, repeat}).sum(2);
}

// As padded_rows(), but with zeros in the padding, so that it adds nothing to any gradient.
at::Tensor zero_padded_rows(const at::Tensor& x, const AttentionPlan::Bucket& bucket) {
  if (bucket.dense) return padded_rows(x, bucket);
  auto slots = at::zeros({bucket.gather.size(0), x.size(1), x.size(2)}, x.options());
  slots.index_copy_(0, bucket.valid, x.index_select(0, bucket.rows));
  return slots.unflatten(0, {bucket.sequences, bucket.length}).transpose(1, 2);
}

// Merges the attention of rows to further keys into that which they have: out [n, H, D], log_sums [n, H].
void merge(const at::Tensor& out, const at::Tensor& log_sums, const at::Tensor& more_out, const at::Tensor& more_sums) {
  const auto whole = at::logaddexp(log_sums, more_sums);
  const auto part = [&](const at::Tensor& x, const at::Tensor& sums) { return x * (sums - whole).exp().unsqueeze(-1); };
  out.copy_(part(out, log_sums) + part(more_out, more_sums));
  log_sums.copy_(whole);
}

// ---- the whole, forward and backward; for both kernels

struct Inputs {
  at::Tensor queries, keys, values;  // [T, H, D], [T, K, D], [T, K, D]
  const AttentionPlan& plan;
  double scale;

  int64_t key_heads() const { return keys.size(1); }
  int64_t repeat() const { return queries.size(1) / key_heads(); }
};

struct Whole {
  at::Tensor out;            // [T, H, D]
  at::Tensor log_sums;       // [T, H]
  at::Tensor state, unused;  // what FlashAttention's backward wants to be handed on; undefined with kPadded
};

Whole padded_forward(const Inputs& in) {
  Whole whole{.out = at::empty_like(in.queries),
              .log_sums = at::empty(in.queries.sizes().slice(0, 2), in.queries.options().dtype(sum_type(in.queries))),
              .state = {},
              .unused = {}};
  for (const auto& bucket : in.plan.buckets) {
    const auto own = plain_attention(padded_rows(in.queries, bucket), padded_rows(in.keys, bucket, in.repeat()),
                                     padded_rows(in.values, bucket, in.repeat()), /*causal=*/true, in.scale);
    whole.out.index_copy_(0, bucket.rows, unpadded_rows(own.out, bucket));
    whole.log_sums.index_copy_(0, bucket.rows, unpadded_rows(own.log_sums, bucket));
  }
  for (const auto& [begin, end, last] : in.plan.shared) {
    const auto seen =
        plain_attention(fold(in.queries.slice(0, end, last), in.key_heads()), heads_first(in.keys.slice(0, begin, end)),
                        heads_first(in.values.slice(0, begin, end)), /*causal=*/false, in.scale);
    merge(whole.out.slice(0, end, last), whole.log_sums.slice(0, end, last), unfold(seen.out, last - end),
          unfold(seen.log_sums, last - end));
  }
  return whole;
}

AttentionGradients padded_backward(const at::Tensor& grad, const Inputs& in, const Whole& whole) {
  AttentionGradients all{at::empty_like(in.queries), at::empty_like(in.keys), at::empty_like(in.values)};
  const int64_t repeat = in.repeat();
  for (const auto& bucket : in.plan.buckets) {
    const auto own = plain_attention_backward(
        zero_padded_rows(grad, bucket), padded_rows(in.queries, bucket), padded_rows(in.keys, bucket, repeat),
        padded_rows(in.values, bucket, repeat), {padded_rows(whole.out, bucket), padded_rows(whole.log_sums, bucket)},
        /*causal=*/true, in.scale);
    all.queries.index_copy_(0, bucket.rows, unpadded_rows(own.queries, bucket));
    all.keys.index_copy_(0, bucket.rows, unpadded_rows(sum_repeated(own.keys, repeat), bucket));
    all.values.index_copy_(0, bucket.rows, unpadded_rows(sum_repeated(own.values, repeat), bucket));
  }
  for (const auto& [begin, end, last] : in.plan.shared) {
    const auto folded = [&, first = end, behind = last](const at::Tensor& x) {
      return fold(x.slice(0, first, behind), in.key_heads());
    };
    const auto seen = plain_attention_backward(
        folded(grad), folded(in.queries), heads_first(in.keys.slice(0, begin, end)),
        heads_first(in.values.slice(0, begin, end)), {folded(whole.out), folded(whole.log_sums)},
        /*causal=*/false, in.scale);
    all.queries.slice(0, end, last).add_(unfold(seen.queries, last - end));
    all.keys.slice(0, begin, end).add_(seen.keys[0].transpose(0, 1));
    all.values.slice(0, begin, end).add_(seen.values[0].transpose(0, 1));
  }
  return all;
}

Whole flash_forward(const Inputs& in) {
  const AttentionPlan& plan = in.plan;
  const auto [out, sums, state, unused, no_mask] =
      at::_flash_attention_forward(in.queries, in.keys, in.values, plan.offsets, plan.offsets, plan.longest,
                                   plan.longest, 0.0, /*is_causal=*/true, /*return_debug_mask=*/false, in.scale);
  Whole whole{.out = out, .log_sums = sums.t().contiguous(), .state = state, .unused = unused};
  const auto& rows = plan.completions.rows;
  const auto seen = at::_flash_attention_forward(
      in.queries.index_select(0, rows), in.keys.index_select(0, plan.prompts.rows),
      in.values.index_select(0, plan.prompts.rows), plan.completions.offsets, plan.prompts.offsets,
      plan.completions.longest, plan.prompts.longest, 0.0, /*is_causal=*/false, /*return_debug_mask=*/false, in.scale);
  const auto merged = whole.out.index_select(0, rows), merged_sums = whole.log_sums.index_select(0, rows);
  merge(merged, merged_sums, std::get<0>(seen), std::get<1>(seen).t());
  whole.out.index_copy_(0, rows, merged);
  whole.log_sums.index_copy_(0, rows, merged_sums);
  return whole;
}

AttentionGradients flash_backward(const at::Tensor& grad, const Inputs& in, const Whole& whole) {
  const AttentionPlan& plan = in.plan;
  auto [queries, keys, values] = at::_flash_attention_backward(
      grad, in.queries, in.keys, in.values, whole.out, whole.log_sums.t().contiguous(), plan.offsets, plan.offsets,
      plan.longest, plan.longest, 0.0, /*is_causal=*/true, whole.state, whole.unused, in.scale);
  const auto completions = [&](const at::Tensor& x) { return x.index_select(0, plan.completions.rows); };
  const auto prompts = [&](const at::Tensor& x) { return x.index_select(0, plan.prompts.rows); };
  const auto [more_queries, more_keys, more_values] = at::_flash_attention_backward(
      completions(grad), completions(in.queries), prompts(in.keys), prompts(in.values), completions(whole.out),
      completions(whole.log_sums).t().contiguous(), plan.completions.offsets, plan.prompts.offsets,
      plan.completions.longest, plan.prompts.longest, 0.0, /*is_causal=*/false, whole.state, whole.unused, in.scale);
  // No row is there twice, so that the order of these sums is fixed on a GPU too.
  queries.index_copy_(0, plan.completions.rows, completions(queries) + more_queries);
  keys.index_copy_(0, plan.prompts.rows, prompts(keys) + more_keys);
  values.index_copy_(0, plan.prompts.rows, prompts(values) + more_values);
  return {queries, keys, values};
}

class SharedPromptNode : public Function<SharedPromptNode> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& queries, const at::Tensor& keys,
                            const at::Tensor& values, const AttentionPlan& plan, double scale) {
    const Inputs in{queries, keys, values, plan, scale};
    const Whole whole = plan.kernel == AttentionKernel::kFlash ? flash_forward(in) : padded_forward(in);
    context->save_for_backward({queries, keys, values, whole.out, whole.log_sums, whole.state, whole.unused});
    context->saved_data["plan"] = keep_plan(plan);
    context->saved_data["scale"] = scale;
    return whole.out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto& plan = kept_plan(context->saved_data["plan"]);
    const Inputs in{saved[0], saved[1], saved[2], plan, context->saved_data["scale"].toDouble()};
    const Whole whole{saved[3], saved[4], saved[5], saved[6]};
    const auto all = plan.kernel == AttentionKernel::kFlash ? flash_backward(grads[0], in, whole)
                                                            : padded_backward(grads[0], in, whole);
    return {all.queries, all.keys, all.values, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

Attended plain_attention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values, bool causal,
                         double scale) {
  const auto scores = scores_of(queries, keys, causal, scale);
  const auto log_sums = at::logsumexp(scores, at::IntArrayRef{-1});
  const auto weights = at::softmax(scores, -1);
  return {at::matmul(weights, values.to(weights.scalar_type())).to(queries.scalar_type()), log_sums};
}

AttentionGradients plain_attention_backward(const at::Tensor& grad, const at::Tensor& queries, const at::Tensor& keys,
                                            const at::Tensor& values, const Attended& whole, bool causal,
                                            double scale) {
  const auto weights = (scores_of(queries, keys, causal, scale) - whole.log_sums.unsqueeze(-1)).exp();
  const auto wide = [&](const at::Tensor& x) { return x.to(weights.scalar_type()); };
  const auto of_weights = at::matmul(wide(grad), wide(values).transpose(-1, -2));
  const auto of_scores = weights * (of_weights - (wide(grad) * wide(whole.out)).sum(-1, /*keepdim=*/true)) * scale;
  const auto narrow = [&](const at::Tensor& x) { return x.to(queries.scalar_type()); };
  return {narrow(at::matmul(of_scores, wide(keys))), narrow(at::matmul(of_scores.transpose(-1, -2), wide(queries))),
          narrow(at::matmul(weights.transpose(-1, -2), wide(grad)))};
}

at::Tensor shared_prompt_attention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                                   const AttentionPlan& plan, double scale) {
  return SharedPromptNode::apply(queries, keys, values, plan, scale);
}

}  // namespace grpo::nn
