#pragma once

#include "grpo/kernels/graph.h"

namespace grpo::kernels::cuda {

std::unique_ptr<Graph> capture_graph(at::Device device, const std::function<void()>& work);

}  // namespace grpo::kernels::cuda
