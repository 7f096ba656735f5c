#pragma once

#include <torch/library.h>

#include <set>
#include <string>

namespace grpo::host_device {

/// copy_: LibTorch's own between host and device, so that its copies and waits are real. Adds the names of what it
/// registers.
void register_copies(torch::Library& library, std::set<std::string>& names);

}  // namespace grpo::host_device
