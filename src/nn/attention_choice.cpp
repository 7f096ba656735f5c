#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/version.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/kernels/cuda.h"
#include "grpo/nn/attention.h"

namespace grpo::nn {
namespace {

constexpr int64_t kTrialTokens = 8192;
constexpr std::array kKernels = {AttentionKernel::kFlash, AttentionKernel::kPadded};

// Offsets of the trial's sequences. Their lengths differ, as those of completions in a batch do.
std::vector<int64_t> trial_offsets(int64_t tokens) {
  std::vector<int64_t> offsets = {0};
  for (int64_t length = std::max<int64_t>(tokens / 3, 1); offsets.back() < tokens;
       length = std::max<int64_t>(2 * length / 3, 1))
    offsets.push_back(std::min(tokens, offsets.back() + length));
  return offsets;
}

struct Operands {
  std::array<at::Tensor, 3> inputs;  // queries, keys, values
  at::Tensor grad;                   // the gradient of the result
};

Operands random_operands(const AttentionHeads& heads, int64_t tokens, at::ScalarType dtype, at::Device device) {
  const auto options = at::TensorOptions(device).dtype(dtype);
  const auto random = [&](int64_t count) { return at::randn({tokens, count, heads.head_dim}, options); };
  return {{random(heads.heads), random(heads.kv_heads), random(heads.kv_heads)}, random(heads.heads)};
}

// Returns {result, gradients of queries, keys and values}.
std::array<at::Tensor, 4> run(const AttentionCandidate& candidate, const Operands& operands, at::ScalarType dtype) {
  std::array<at::Tensor, 3> leaves;
  for (size_t i = 0; i < 3; ++i) leaves[i] = operands.inputs[i].to(dtype, false, /*copy=*/true).set_requires_grad(true);
  const auto out = candidate.attend(leaves[0], leaves[1], leaves[2]);
  out.backward(operands.grad.to(dtype));
  return {out.detach(), leaves[0].grad(), leaves[1].grad(), leaves[2].grad()};
}

double distance(const std::array<at::Tensor, 4>& found, const std::array<at::Tensor, 4>& expected) {
  double most = 0.0;
  for (size_t i = 0; i < found.size(); ++i) {
    const auto a = found[i].to(at::kFloat), b = expected[i].to(at::kFloat);
    const double error = ((a - b).abs().max() / b.abs().max().clamp_min(1e-6)).item<double>();
    if (std::isnan(error)) return error;  // no comparison would keep it
    most = std::max(most, error);
  }
  return most;
}

void wait_for(at::Device device) {
  if (device.is_cuda()) c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double seconds(const AttentionCandidate& candidate, const Operands& operands, const AttentionTrial& trial) {
  const auto now = [&] {
    wait_for(trial.device);
    return trial.clock ? trial.clock() : steady_seconds();
  };
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 4; ++i) {  // the first round also compiles and plans; as the slowest it does not count
    const double start = now();
    run(candidate, operands, trial.dtype);
    best = std::min(best, now() - start);
  }
  return best;
}

std::optional<AttentionKernel> kernel_named(const std::string& name) {
  for (const auto kernel : kKernels) {
    if (to_string(kernel) == name) return kernel;
  }
  return std::nullopt;
}

nlohmann::json read_memory(const std::filesystem::path& file) {
  std::ifstream in(file);
  auto json = in ? nlohmann::json::parse(in, nullptr, /*allow_exceptions=*/false) : nlohmann::json::object();
  return json.is_object() ? json : nlohmann::json::object();
}

// Writes a file of another name and renames it, because another process may be reading `file`. If that fails, the trial
// is simply made again next time.
void write_memory(const std::filesystem::path& file, const nlohmann::json& json) {
  std::error_code failed;
  std::filesystem::create_directories(file.parent_path(), failed);
  const std::filesystem::path draft = file.string() + ".new";
  if (std::ofstream out(draft); !(out << json.dump(2) << "\n")) return;
  std::filesystem::rename(draft, file, failed);
}

}  // namespace

AttentionKernel best_attention(const std::vector<AttentionCandidate>& candidates, const AttentionCandidate& reference,
                               const AttentionTrial& trial) {
  const auto operands = random_operands(trial.heads, trial.tokens, trial.dtype, trial.device);
  const auto expected = run(reference, operands, at::kFloat);
  AttentionKernel best = AttentionKernel::kPadded;
  double best_seconds = std::numeric_limits<double>::infinity();
  for (const auto& candidate : candidates) {
    try {
      const double error = distance(run(candidate, operands, trial.dtype), expected);
      if (!(error <= trial.tolerance)) {
        base::log_warning(
            base::concat("attention ", to_string(candidate.kernel), ": off by ", error, " on this device; not used"));
        continue;
      }
      if (trial.in_order) return candidate.kernel;
      const double time = seconds(candidate, operands, trial);
      if (time < best_seconds) {
        best = candidate.kernel;
        best_seconds = time;
      }
    } catch (const std::exception& error) {
      base::log_info(
          base::concat("attention ", to_string(candidate.kernel), " does not run on this device: ", error.what()));
    }
  }
  return best;
}

AttentionKernel choose_attention(const AttentionHeads& heads, at::ScalarType dtype, at::Device device,
                                 const std::filesystem::path& memory) {
  if (has_own_attention(dtype, device)) return AttentionKernel::kOwn;
  if (!device.is_cuda() || dtype != at::kBFloat16) return AttentionKernel::kPadded;
  const bool deterministic = at::globalContext().deterministicAlgorithms();
  const std::string key =
      base::concat(kernels::cuda_device_name(device.index()), ", LibTorch ", TORCH_VERSION, ", ", heads.heads, "/",
                   heads.kv_heads, " heads of ", heads.head_dim, deterministic ? ", deterministic" : "");
  auto known = read_memory(memory);
  if (known.contains(key) && known[key].is_string()) {
    if (const auto kernel = kernel_named(known[key].get<std::string>())) return *kernel;
  }
  const auto offsets = trial_offsets(kTrialTokens);
  const double scale = 1.0 / std::sqrt(static_cast<double>(heads.head_dim));
  std::vector<AttentionCandidate> candidates;
  for (const auto kernel : kKernels) {
    candidates.push_back(
        {kernel, [plan = plan_attention(offsets, device, kernel), scale](const auto& q, const auto& k, const auto& v) {
           return packed_attention(q, k, v, plan, scale);
         }});
  }
  // The tolerance allows for rounding inputs and sums to bf16, twice.
  const auto best = best_attention(candidates, candidates.back(),
                                   {.heads = heads,
                                    .tokens = kTrialTokens,
                                    .dtype = dtype,
                                    .device = device,
                                    .tolerance = 0.03,
                                    .in_order = deterministic});
  known[key] = to_string(best);
  if (!memory.empty()) write_memory(memory, known);
  return best;
}

}  // namespace grpo::nn
