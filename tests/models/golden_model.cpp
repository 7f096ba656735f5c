#include "models/golden_model.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/ops/cat.h>

#include <stdexcept>

#include "grpo/models/weights.h"
#include "support/golden.h"

namespace grpo::testing {

GoldenModel::GoldenModel(std::filesystem::path folder)
    : folder_(std::move(folder)), expected_(io::Safetensors::open(folder_ / "expected.safetensors")) {
  const auto lengths = read_golden_json(folder_ / "meta.json").at("lengths").get<std::vector<int64_t>>();
  const auto ids = expected("input_ids");
  for (size_t s = 0; s < lengths.size(); ++s) {
    sequences_.push_back(to_vector(ids[static_cast<int64_t>(s)].narrow(0, 0, lengths[s])));
  }
  if (sequences_.empty()) throw std::runtime_error(folder_.string() + ": meta.json has no lengths");
}

std::unique_ptr<models::CausalLM> GoldenModel::load(at::ScalarType dtype, at::Device device) const {
  return models::CausalLM::load(folder_, dtype, device);
}

int64_t GoldenModel::num_tokens() const {
  int64_t count = 0;
  for (size_t s = 0; s < sequences_.size(); ++s) count += length(s);
  return count;
}

std::vector<std::string> GoldenModel::names() const {
  std::vector<std::string> names;
  for (const auto& [name, bytes] : expected_.tensors()) names.push_back(name);
  return names;
}

at::Tensor GoldenModel::expected(const std::string& name) const { return to_tensor(expected_.at(name)); }

at::Tensor GoldenModel::packed(const std::string& name) const {
  const auto padded = expected(name);
  std::vector<at::Tensor> parts;
  for (size_t s = 0; s < sequences_.size(); ++s)
    parts.push_back(padded[static_cast<int64_t>(s)].narrow(0, 0, length(s)));
  return at::cat(parts);
}

std::vector<GoldenModel> golden_models() {
  std::vector<GoldenModel> models;
  for (const auto& folder : golden_folders("models")) models.emplace_back(folder);
  return models;
}

at::Tensor to_tensor(const io::TensorBytes& bytes) { return models::tensor_view(bytes).clone(); }

std::vector<int64_t> to_vector(const at::Tensor& ids) {
  const auto flat = ids.to(at::kLong).contiguous();
  return {flat.data_ptr<int64_t>(), flat.data_ptr<int64_t>() + flat.numel()};
}

double max_distance(const at::Tensor& a, const at::Tensor& b) {
  return (a.detach().to(at::kDouble) - b.detach().to(at::kDouble)).abs().max().item<double>();
}

}  // namespace grpo::testing
