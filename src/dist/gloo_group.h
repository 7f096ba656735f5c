#pragma once

#include <c10/util/intrusive_ptr.h>

#include <chrono>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "dist/run_store.h"
#include "grpo/dist/launch.h"

namespace grpo::dist {

/// Connects all ranks by Gloo; they exchange their addresses in `store`. Throws base::DistError when
/// this rank cannot reach the others.
c10::intrusive_ptr<c10d::Backend> connect_gloo(const Ranks& ranks, const StorePointer& store,
                                               std::chrono::seconds timeout);

}  // namespace grpo::dist
