#pragma once

#include <torch/library.h>

#include <set>
#include <string>

namespace grpo::host_device {

/// The fused attentions of LibTorch that exist on CUDA only: efficient, flash (also over packed sequences) and their
/// gradients.
void register_attention(torch::Library& library, std::set<std::string>& names);

}  // namespace grpo::host_device
