#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <vector>

#include "grpo/io/safetensors.h"
#include "grpo/models/causal_lm.h"

namespace grpo::testing {

/// One folder of tests/golden/models with what the reference computed for it.
class GoldenModel {
 public:
  explicit GoldenModel(std::filesystem::path folder);

  const std::filesystem::path& folder() const { return folder_; }
  std::unique_ptr<models::CausalLM> load(at::ScalarType dtype = at::kFloat, at::Device device = at::kCPU) const;

  /// The sequences without padding, and their number of tokens.
  const std::vector<std::vector<int64_t>>& sequences() const { return sequences_; }
  int64_t length(size_t s) const { return static_cast<int64_t>(sequences_[s].size()); }
  int64_t num_tokens() const;

  std::vector<std::string> names() const;
  /// A copy of a tensor of expected.safetensors.
  at::Tensor expected(const std::string& name) const;
  /// [S, T, ...] of expected.safetensors without its padding: [num_tokens, ...], sequence after sequence.
  at::Tensor packed(const std::string& name) const;

 private:
  std::filesystem::path folder_;
  io::Safetensors expected_;
  std::vector<std::vector<int64_t>> sequences_;
};

/// All of tests/golden/models; throws when there is none.
std::vector<GoldenModel> golden_models();

at::Tensor to_tensor(const io::TensorBytes& bytes);
std::vector<int64_t> to_vector(const at::Tensor& ids);
double max_distance(const at::Tensor& a, const at::Tensor& b);

// Proposed in tests/golden/README.md.
inline constexpr double kLogitTolerance = 1e-4;
inline constexpr double kLogProbTolerance = 5e-5;
inline constexpr double kGradientTolerance = 1e-5;

}  // namespace grpo::testing
