#pragma once

#include <torch/library.h>

#include <set>
#include <string>

namespace grpo::host_device {

/// Products of half precision with a sum in fp32, in one operator, are CUDA's alone.
void register_products(torch::Library& library, std::set<std::string>& names);

}  // namespace grpo::host_device
