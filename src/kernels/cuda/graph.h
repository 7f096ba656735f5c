#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>

#include "grpo/kernels/graph.h"

namespace grpo::kernels::cuda {

std::unique_ptr<Graph> capture_graph(at::Device device, const std::function<void()>& work);

void push_range(const char* name);
void pop_range();

}  // namespace grpo::kernels::cuda
