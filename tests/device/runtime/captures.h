#pragma once

#include "device/runtime/streams.h"

namespace grpo::host_device {

/// A graph that is being recorded. Streams that wait for its events record too.
struct Capture {
  uint64_t id = 0;
  Graph graph;
  bool invalid = false;

  void add(Item item) { graph.items.push_back(std::move(item)); }
};

/// Null: the stream is not capturing.
Capture* capture_of(cudaStream_t stream);
/// The stream waits for an event of that recording.
cudaError_t join_capture(cudaStream_t stream, uint64_t id);
/// Whether this thread records and has not said that what it does now is meant to be left out.
bool this_thread_records();

}  // namespace grpo::host_device
