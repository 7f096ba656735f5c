#include "grpo/kernels/sample.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "grpo/base/error.h"
#include "kernels/cpu/dispatch.h"

namespace grpo::kernels {
namespace {

struct Drawn {
  int64_t id = 0;
  float log_prob = 0.0f;
};

// One row's exps and their block sums; reused from row to row by a thread.
struct Workspace {
  explicit Workspace(int64_t n)
      : exps(static_cast<size_t>(n)), block_sums(static_cast<size_t>((n + cpu::kSoftmaxBlock - 1) / cpu::kSoftmaxBlock)) {}
  std::vector<float> exps;
  std::vector<double> block_sums;
  std::vector<int64_t> order;
};

bool before(const std::vector<float>& p, int64_t a, int64_t b) {
  const float pa = p[static_cast<size_t>(a)];
  const float pb = p[static_cast<size_t>(b)];
  return pa > pb || (pa == pb && a < b);
}

// The `count` likeliest ids, likeliest first, in the front of workspace.order.
void sort_front(Workspace& workspace, int64_t count) {
  auto& order = workspace.order;
  const auto less = [&](int64_t a, int64_t b) { return before(workspace.exps, a, b); };
  const auto middle = order.begin() + count;
  if (middle != order.end()) std::nth_element(order.begin(), middle, order.end(), less);
  std::sort(order.begin(), middle, less);
}

// Sets the exps of ids outside top-k and top-p to zero and the block sums with them.
void restrict_to_top(Workspace& workspace, const SampleParams& params) {
  const auto n = static_cast<int64_t>(workspace.exps.size());
  workspace.order.resize(workspace.exps.size());
  std::iota(workspace.order.begin(), workspace.order.end(), int64_t{0});
  const int64_t k = params.top_k > 0 ? std::min(params.top_k, n) : n;
  int64_t kept = k;
  if (params.top_p < 1.0) {
    // Sort ever longer fronts until the front's share reaches top_p: most rows need few ids.
    if (k < n) std::nth_element(workspace.order.begin(), workspace.order.begin() + k, workspace.order.end(),
                                [&](int64_t a, int64_t b) { return before(workspace.exps, a, b); });
    workspace.order.resize(static_cast<size_t>(k));
    double total = 0.0;
    for (const int64_t id : workspace.order) total += static_cast<double>(workspace.exps[static_cast<size_t>(id)]);
    for (int64_t front = std::min<int64_t>(64, k); ; front = std::min(8 * front, k)) {
      sort_front(workspace, front);
      double sum = 0.0;
      for (kept = 0; kept < front && sum < params.top_p * total; ++kept) {
        sum += static_cast<double>(workspace.exps[static_cast<size_t>(workspace.order[static_cast<size_t>(kept)])]);
      }
      if (sum >= params.top_p * total || front == k) break;
    }
    kept = std::max<int64_t>(kept, 1);
  } else {
    sort_front(workspace, k);
  }
  std::vector<std::pair<int64_t, float>> keep;
  for (int64_t i = 0; i < kept; ++i) {
    const int64_t id = workspace.order[static_cast<size_t>(i)];
    keep.emplace_back(id, workspace.exps[static_cast<size_t>(id)]);
  }
  std::fill(workspace.exps.begin(), workspace.exps.end(), 0.0f);
  std::fill(workspace.block_sums.begin(), workspace.block_sums.end(), 0.0);
  for (const auto& [id, p] : keep) {
    workspace.exps[static_cast<size_t>(id)] = p;
    workspace.block_sums[static_cast<size_t>(id / cpu::kSoftmaxBlock)] += static_cast<double>(p);
  }
}

// The first id whose running sum exceeds uniform * total: blocks first, then inside the block.
int64_t invert(const Workspace& workspace, double uniform) {
  const auto& exps = workspace.exps;
  const double total = std::accumulate(workspace.block_sums.begin(), workspace.block_sums.end(), 0.0);
  const double target = uniform * total;
  double sum = 0.0;
  int64_t last = -1;  // the last id with any probability: where rounding would run off the end
  for (size_t block = 0; block < workspace.block_sums.size(); ++block) {
    const bool inside = sum + workspace.block_sums[block] > target;
    const auto begin = static_cast<int64_t>(block) * cpu::kSoftmaxBlock;
    const auto end = std::min<int64_t>(begin + cpu::kSoftmaxBlock, static_cast<int64_t>(exps.size()));
    if (inside) {
      double running = sum;
      for (int64_t id = begin; id < end; ++id) {
        const float p = exps[static_cast<size_t>(id)];
        if (p <= 0.0f) continue;
        last = id;
        running += static_cast<double>(p);
        if (running > target) return id;
      }
      return last;
    }
    sum += workspace.block_sums[block];
  }
  for (auto id = static_cast<int64_t>(exps.size()) - 1; id >= 0; --id) {
    if (exps[static_cast<size_t>(id)] > 0.0f) return id;
  }
  return last;
}

Drawn draw(const float* logits, int64_t n, const SampleParams& params, Workspace& workspace, int64_t row) {
  const bool greedy = params.temperature == 0.0;
  const float inverse = greedy ? 1.0f : static_cast<float>(1.0 / params.temperature);
  const auto softmax = cpu::functions().softmax(logits, inverse, n, workspace.exps.data(), workspace.block_sums.data());
  if (!std::isfinite(softmax.max) || !std::isfinite(softmax.sum) || !(softmax.sum > 0.0) || softmax.argmax < 0) {
    throw base::Error(base::concat("sampling: row ", row, " has logits that are NaN or all infinite; the weights may have diverged"));
  }
  Drawn drawn;
  if (greedy) {
    drawn.id = softmax.argmax;
  } else {
    if (params.top_k > 0 || params.top_p < 1.0) restrict_to_top(workspace, params);
    drawn.id = invert(workspace, params.uniform);
  }
  const double shifted = static_cast<double>(logits[drawn.id]) * inverse - static_cast<double>(softmax.max);
  drawn.log_prob = static_cast<float>(shifted - std::log(softmax.sum));
  return drawn;
}

}  // namespace

Sampled sample_tokens(const at::Tensor& logits, const std::vector<SampleParams>& params) {
  GRPO_CHECK(logits.dim() == 2 && logits.size(0) == static_cast<int64_t>(params.size()), "logits ", logits.sizes(), ", ",
             params.size(), " parameters");
  const auto host = logits.to(at::kCPU, at::kFloat).contiguous();
  const int64_t n = host.size(1);
  Sampled sampled{.ids = std::vector<int64_t>(params.size()), .log_probs = std::vector<float>(params.size())};
  const int64_t grain = std::max<int64_t>(1, 16384 / n);
  at::parallel_for(0, host.size(0), grain, [&](int64_t begin, int64_t end) {
    Workspace workspace(n);
    for (int64_t row = begin; row < end; ++row) {
      const auto i = static_cast<size_t>(row);
      const auto drawn = draw(host.const_data_ptr<float>() + row * n, n, params[i], workspace, row);
      sampled.ids[i] = drawn.id;
      sampled.log_probs[i] = drawn.log_prob;
    }
  });
  return sampled;
}

}  // namespace grpo::kernels
