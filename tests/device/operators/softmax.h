#pragma once

#include <torch/library.h>

#include <set>
#include <string>

namespace grpo::host_device {

/// Softmax of half precision with a result in fp32, in one operator, is CUDA's alone.
void register_softmax(torch::Library& library, std::set<std::string>& names);

}  // namespace grpo::host_device
