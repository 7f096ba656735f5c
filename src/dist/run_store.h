#pragma once

#include <c10/util/intrusive_ptr.h>

#include <chrono>
#include <memory>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "dist/key_value.h"
#include "grpo/dist/launch.h"

namespace grpo::dist {

using StorePointer = c10::intrusive_ptr<c10d::Store>;

/// Connects to the store where the ranks of a run meet; as_server: this process opens and holds it. Throws
/// base::DistError when that fails within `timeout`.
StorePointer connect_store(const Ranks& ranks, bool as_server, std::chrono::seconds timeout);

/// The store by the interface that the watch uses.
std::unique_ptr<KeyValue> values_of(StorePointer store);

/// Returns when every rank has announced itself (Watch::announce). Throws base::DistError naming the ranks that
/// have not done so within `timeout`.
void wait_for_all(c10d::Store& store, const Ranks& ranks, std::chrono::seconds timeout);

}  // namespace grpo::dist
