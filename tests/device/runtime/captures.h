#pragma once

#include <map>
#include <utility>

#include "device/runtime/streams.h"

namespace grpo::host_device {

/// A graph that is being recorded. Streams that wait for its events record too.
struct Capture {
  uint64_t id = 0;
  Graph graph;
  std::map<cudaStream_t, size_t> branches;  // streams that record, in the order in which they came
  bool invalid = false;

  void add(cudaStream_t stream, Item item) {
    item.branch = branches.try_emplace(stream, branches.size()).first->second;
    graph.items.push_back(std::move(item));
  }
};

/// Null: the stream is not capturing.
Capture* capture_of(cudaStream_t stream);
/// The stream waits for an event of the recording that it belongs to.
cudaError_t join_capture(cudaStream_t stream, const MarkPointer& mark);
/// Whether this thread records and has not said that what it does now is meant to be left out.
bool this_thread_records();

}  // namespace grpo::host_device
