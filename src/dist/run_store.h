#pragma once

#include <c10/util/intrusive_ptr.h>

#include <chrono>
#include <memory>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "dist/key_value.h"
#include "grpo/dist/launch.h"

namespace grpo::dist {

using StorePointer = c10::intrusive_ptr<c10d::Store>;

/// A connection to the store where the ranks of a run meet; as_server: this process holds it. Throws base::DistError
/// when it cannot be opened or reached within `timeout`.
StorePointer connect_store(const Ranks& ranks, bool as_server, std::chrono::seconds timeout);

/// The store as the watch sees it.
std::unique_ptr<KeyValue> values_of(StorePointer store);

/// Returns when every rank has announced itself (Watch::announce). Throws base::DistError naming those that have not
/// come within `timeout`.
void wait_for_all(c10d::Store& store, const Ranks& ranks, std::chrono::seconds timeout);

}  // namespace grpo::dist
