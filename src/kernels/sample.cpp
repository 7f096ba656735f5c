#include "grpo/kernels/sample.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "grpo/base/error.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/parallel.h"
#include "kernels/truncation.h"

namespace grpo::kernels {
namespace {

constexpr int64_t kCostPerId = 16;  // of one id of a row, in multiply-adds

struct Drawn {
  int64_t id = 0;
  float log_prob = 0.0f;
};

// One row in the making; a thread keeps the memory from row to row.
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
    // A block's sum in fp32 lanes and the ids one by one differ by rounding: the block's last likely id takes what is
    // left.
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

Drawn draw(const float* logits, const SampleParams& params, Workspace& workspace, int64_t row) {
  const auto n = static_cast<int64_t>(workspace.exps.size());
  const bool greedy = params.temperature == 0.0;
  const double inverse = greedy ? 1.0 : 1.0 / params.temperature;
  const auto softmax = cpu::functions().softmax(logits, static_cast<float>(inverse), n, workspace.exps.data(),
                                                workspace.block_sums.data());
  if (softmax.argmax < 0 || !std::isfinite(softmax.max) || !std::isfinite(softmax.sum)) {
    throw base::Error(
        base::concat("sampling: row ", row, " has logits that are NaN or all infinite; the weights may have diverged"));
  }
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

// A row as fp32, in place where it is.
const float* read_row(const at::Tensor& logits, int64_t row, Workspace& workspace) {
  const int64_t start = row * logits.stride(0);
  if (logits.scalar_type() == at::kFloat) return logits.const_data_ptr<float>() + start;
  const auto* from = logits.const_data_ptr<at::BFloat16>() + start;
  std::transform(from, from + logits.size(1), workspace.logits.begin(),
                 [](at::BFloat16 x) { return static_cast<float>(x); });
  return workspace.logits.data();
}

void check(const std::vector<SampleParams>& params) {
  for (const auto& p : params) {
    GRPO_CHECK(
        p.temperature >= 0.0 && p.top_k >= 0 && p.top_p > 0.0 && p.top_p <= 1.0 && p.uniform >= 0.0 && p.uniform < 1.0,
        "temperature ", p.temperature, ", top_k ", p.top_k, ", top_p ", p.top_p, ", uniform ", p.uniform);
  }
}

}  // namespace

Sampled sample_tokens(const at::Tensor& logits, const std::vector<SampleParams>& params) {
  GRPO_CHECK(logits.dim() == 2 && logits.size(0) == static_cast<int64_t>(params.size()) && logits.size(1) > 0,
             "logits ", logits.sizes(), ", ", params.size(), " parameters");
  check(params);
  auto host = logits.to(at::kCPU, logits.scalar_type() == at::kBFloat16 ? at::kBFloat16 : at::kFloat);
  // An expanded row (the first tokens of a group) is read where it is.
  if (host.size(1) > 1 && host.stride(1) != 1) host = host.contiguous();
  Sampled sampled{.ids = std::vector<int64_t>(params.size()), .log_probs = std::vector<float>(params.size())};
  share_items(host.size(0), host.numel() * kCostPerId, [&](const auto& next) {
    static thread_local Workspace workspace;
    workspace.resize(host.size(1));
    for (int64_t row = next(); row >= 0; row = next()) {
      const auto i = static_cast<size_t>(row);
      const auto drawn = draw(read_row(host, row, workspace), params[i], workspace, row);
      sampled.ids[i] = drawn.id;
      sampled.log_probs[i] = drawn.log_prob;
    }
  });
  return sampled;
}

}  // namespace grpo::kernels
