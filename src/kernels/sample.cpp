#include "grpo/kernels/sample.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "grpo/base/error.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cuda/kernel_table.h"
#include "kernels/parallel.h"
#include "kernels/truncation.h"

namespace grpo::kernels {
namespace {

constexpr int64_t kCostPerId = 16;  // work for one id of a row, in multiply-adds

struct Drawn {
  int64_t id = 0;
  float log_prob = std::numeric_limits<float>::quiet_NaN();
};

// What a thread needs to sample a row; it keeps the memory from row to row.
struct Workspace {
  std::vector<float> logits;       // [V]
  std::vector<float> exps;         // [V]
  std::vector<double> block_sums;  // of exps, by kSoftmaxBlock ids
  Truncation truncation;

  void resize(int64_t n) {
    logits.resize(static_cast<size_t>(n));
    exps.resize(static_cast<size_t>(n));
    block_sums.resize(static_cast<size_t>((n + cpu::kSoftmaxBlock - 1) / cpu::kSoftmaxBlock));
  }
};

// The first candidate whose running sum exceeds uniform * total.
int64_t invert(const std::vector<Candidate>& candidates, double uniform) {
  double total = 0.0;
  for (const auto& candidate : candidates) total += static_cast<double>(candidate.mass);
  const double target = uniform * total;
  double running = 0.0;
  for (const auto& candidate : candidates) {
    running += static_cast<double>(candidate.mass);
    if (running > target) return candidate.id;
  }
  return candidates.back().id;  // not reached: target < total
}

int64_t last_likely(const std::vector<float>& exps) {
  size_t id = exps.size() - 1;
  while (id > 0 && exps[id] == 0.0f) --id;
  return static_cast<int64_t>(id);
}

// The first id whose running sum exceeds uniform * total: blocks first, then inside the block.
int64_t invert(const Workspace& workspace, double uniform) {
  const auto& exps = workspace.exps;
  const double target = uniform * std::accumulate(workspace.block_sums.begin(), workspace.block_sums.end(), 0.0);
  double sum = 0.0;
  for (size_t start = 0, block = 0; start < exps.size(); start += cpu::kSoftmaxBlock, ++block) {
    if (sum + workspace.block_sums[block] <= target) {
      sum += workspace.block_sums[block];
      continue;
    }
    // A block's sum was made in fp32 lanes, and differs by rounding from adding the ids one by one. The last likely id
    // of the block takes what is left.
    double running = sum;
    size_t likely = start;
    for (size_t id = start; id < std::min<size_t>(exps.size(), start + cpu::kSoftmaxBlock); ++id) {
      if (exps[id] == 0.0f) continue;
      likely = id;
      running += static_cast<double>(exps[id]);
      if (running > target) break;
    }
    return static_cast<int64_t>(likely);
  }
  return last_likely(exps);
}

Drawn draw(const float* logits, const SampleParams& params, Workspace& workspace) {
  const auto n = static_cast<int64_t>(workspace.exps.size());
  const bool greedy = params.temperature == 0.0;
  const double inverse = greedy ? 1.0 : 1.0 / params.temperature;
  const auto softmax = cpu::functions().softmax(logits, static_cast<float>(inverse), n, workspace.exps.data(),
                                                workspace.block_sums.data());
  if (softmax.argmax < 0 || !std::isfinite(softmax.max) || !std::isfinite(softmax.sum)) return {};
  Drawn drawn{.id = softmax.argmax};
  if (!greedy) {
    const bool whole = params.top_k == 0 && params.top_p == 1.0;
    drawn.id = whole ? invert(workspace, params.uniform)
                     : invert(workspace.truncation.keep(logits, workspace.exps.data(), n, softmax.sum, params.top_k,
                                                        params.top_p),
                              params.uniform);
  }
  const double below = static_cast<double>(logits[drawn.id]) - static_cast<double>(softmax.max);
  drawn.log_prob = static_cast<float>(below * inverse - std::log(softmax.sum));
  return drawn;
}

// A row as fp32; one that is fp32 already is not copied.
const float* read_row(const at::Tensor& logits, int64_t row, Workspace& workspace) {
  const int64_t start = row * logits.stride(0);
  if (logits.scalar_type() == at::kFloat) return logits.const_data_ptr<float>() + start;
  const auto* from = logits.const_data_ptr<at::BFloat16>() + start;
  std::transform(from, from + logits.size(1), workspace.logits.begin(),
                 [](at::BFloat16 x) { return static_cast<float>(x); });
  return workspace.logits.data();
}

// Sets the logits of a row to minus infinity, except those of `kept` and the target. Returns the log of the share of
// `total` that is left.
template <typename T>
float leave(T* logits, int64_t n, const std::vector<Candidate>& kept, int64_t target, const std::vector<float>& exps,
            double total) {
  double mass = 0.0;
  auto next = kept.begin();
  for (int64_t id = 0; id < n; ++id) {
    const bool stays = next != kept.end() && next->id == id;
    if (stays) ++next;
    if (stays || id == target) {
      mass += static_cast<double>(exps[static_cast<size_t>(id)]);
    } else {
      logits[id] = -std::numeric_limits<T>::infinity();
    }
  }
  return static_cast<float>(std::log(mass / total));
}

template <typename T>
float keep_sampled_row(T* logits, const float* as_float, int64_t target, const SampleParams& params,
                       Workspace& workspace) {
  const auto n = static_cast<int64_t>(workspace.exps.size());
  const auto softmax = cpu::functions().softmax(as_float, static_cast<float>(1.0 / params.temperature), n,
                                                workspace.exps.data(), workspace.block_sums.data());
  if (softmax.argmax < 0 || !std::isfinite(softmax.max) || !std::isfinite(softmax.sum))
    return std::numeric_limits<float>::quiet_NaN();
  const auto& kept =
      workspace.truncation.keep(as_float, workspace.exps.data(), n, softmax.sum, params.top_k, params.top_p);
  return leave(logits, n, kept, target, workspace.exps, softmax.sum);
}

}  // namespace

SampleRows sample_rows(const std::vector<SampleParams>& params, SampleRows used) {
  const auto n = static_cast<int64_t>(params.size());
  SampleRows rows = std::move(used);
  if (!rows.uniform.defined() || rows.uniform.size(0) != n) {
    rows = {.temperature = at::empty({n}, at::kDouble),
            .top_k = at::empty({n}, at::kLong),
            .top_p = at::empty({n}, at::kDouble),
            .uniform = at::empty({n}, at::kDouble)};
  }
  for (int64_t i = 0; i < n; ++i) {
    const SampleParams& p = params[static_cast<size_t>(i)];
    GRPO_CHECK(
        p.temperature >= 0.0 && p.top_k >= 0 && p.top_p > 0.0 && p.top_p <= 1.0 && p.uniform >= 0.0 && p.uniform < 1.0,
        "temperature ", p.temperature, ", top_k ", p.top_k, ", top_p ", p.top_p, ", uniform ", p.uniform);
    rows.temperature.mutable_data_ptr<double>()[i] = p.temperature;
    rows.top_k.mutable_data_ptr<int64_t>()[i] = p.top_k;
    rows.top_p.mutable_data_ptr<double>()[i] = p.top_p;
    rows.uniform.mutable_data_ptr<double>()[i] = p.uniform;
  }
  return rows;
}

Sampled sample_tokens(const at::Tensor& logits, const SampleRows& rows) {
  GRPO_CHECK(logits.dim() == 2 && logits.size(0) == rows.uniform.size(0) && logits.size(1) > 0, "logits ",
             logits.sizes(), ", ", rows.uniform.size(0), " parameters");
  if (logits.is_cuda()) return cuda::kernels().sample_tokens(logits, rows);
  const bool readable = logits.scalar_type() == at::kBFloat16 || logits.scalar_type() == at::kFloat;
  auto host = readable ? logits : logits.to(at::kFloat);
  // An expanded row (for the first tokens of a group) is read where it is, without a copy for each sample.
  if (host.size(1) > 1 && host.stride(1) != 1) host = host.contiguous();
  Sampled sampled{.ids = at::empty({host.size(0)}, at::kLong), .log_probs = at::empty({host.size(0)}, at::kFloat)};
  auto* ids = sampled.ids.mutable_data_ptr<int64_t>();
  auto* log_probs = sampled.log_probs.mutable_data_ptr<float>();
  const auto* temperature = rows.temperature.const_data_ptr<double>();
  const auto* top_k = rows.top_k.const_data_ptr<int64_t>();
  const auto* top_p = rows.top_p.const_data_ptr<double>();
  const auto* uniform = rows.uniform.const_data_ptr<double>();
  share_items(host.size(0), host.numel() * kCostPerId, [&](const auto& next) {
    static thread_local Workspace workspace;
    workspace.resize(host.size(1));
    for (int64_t row = next(); row >= 0; row = next()) {
      const SampleParams params{
          .temperature = temperature[row], .top_k = top_k[row], .top_p = top_p[row], .uniform = uniform[row]};
      const auto drawn = draw(read_row(host, row, workspace), params, workspace);
      ids[row] = drawn.id;
      log_probs[row] = drawn.log_prob;
    }
  });
  return sampled;
}

at::Tensor keep_sampled_(at::Tensor& logits, const at::Tensor& targets, double temperature, int64_t top_k,
                         double top_p) {
  GRPO_CHECK(
      logits.dim() == 2 && logits.is_contiguous() && targets.sizes() == logits.sizes().slice(0, 1) && temperature > 0.0,
      "logits ", logits.sizes(), ", targets ", targets.sizes(), ", temperature ", temperature);
  if (logits.is_cuda()) return cuda::kernels().keep_sampled_(logits, targets, temperature, top_k, top_p);
  auto kept = at::empty({logits.size(0)}, logits.options().dtype(at::kFloat));
  auto* log_kept = kept.mutable_data_ptr<float>();
  const auto* ids = targets.const_data_ptr<int64_t>();
  const int64_t n = logits.size(1);
  const SampleParams params{.temperature = temperature, .top_k = top_k, .top_p = top_p, .uniform = 0.0};
  share_items(logits.size(0), logits.numel() * kCostPerId, [&](const auto& next) {
    static thread_local Workspace workspace;
    workspace.resize(n);
    for (int64_t row = next(); row >= 0; row = next()) {
      const float* as_float = read_row(logits, row, workspace);
      log_kept[row] =
          logits.scalar_type() == at::kFloat
              ? keep_sampled_row(logits.mutable_data_ptr<float>() + row * n, as_float, ids[row], params, workspace)
              : keep_sampled_row(logits.mutable_data_ptr<at::BFloat16>() + row * n, as_float, ids[row], params,
                                 workspace);
    }
  });
  return kept;
}

}  // namespace grpo::kernels
