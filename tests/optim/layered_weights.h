#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace grpo::testing {

/// Weights as a model hands them to the optimizer: by name, each with its layer (-1: outside the layers).
struct LayeredWeights {
  std::vector<std::pair<std::string, at::Tensor>> parameters;
  std::vector<int64_t> layers;

  void add(const std::string& name, const at::Tensor& tensor, int64_t layer) {
    parameters.emplace_back(name, tensor.set_requires_grad(true));
    layers.push_back(layer);
  }
};

}  // namespace grpo::testing
