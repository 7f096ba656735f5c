#pragma once

#include <cuda_runtime_api.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "device/runtime/memory.h"

// Streams, events, and the order in which work runs.

namespace grpo::host_device {

/// A point in a stream's work.
struct Mark {
  std::atomic<bool> done = false;
  uint64_t capture = 0;  // the recording it belongs to; 0: none
  std::chrono::steady_clock::time_point time;
};
using MarkPointer = std::shared_ptr<Mark>;

struct Item {
  enum class What { kRun, kPoison, kHostFunction, kRecord, kWait };
  What what = What::kRun;
  std::string name;
  std::function<void()> run = {};
  MarkPointer mark = nullptr;
  std::vector<Place> places = {};
  bool kernel = false;  // counted
  size_t branch = 0;    // of a graph: which of the recorded streams
};

/// Queues the item, or records it where the stream is capturing.
void enqueue(cudaStream_t stream, Item item);

cudaStream_t create_stream();
void destroy_stream(cudaStream_t stream);

MarkPointer record(cudaStream_t stream);
cudaError_t wait_in_stream(cudaStream_t stream, const MarkPointer& mark);

/// Runs the device until all that the stream (all streams) was given by now is done.
void finish(cudaStream_t stream);
void finish_all();
void finish(const MarkPointer& mark);
/// Whether it is done; asking lets the device do a little.
bool is_done(cudaStream_t stream);
bool is_done(const MarkPointer& mark);

/// The order is drawn from settings().seed from now on.
void reseed();

/// Overwrites memory that was freed, behind what the stream was given so far.
void poison_later(cudaStream_t stream, void* data, size_t bytes);

// Recording.

struct Graph {
  std::vector<Item> items;
  std::vector<cudaStream_t> branches;  // where the branches but the first run at replays
  uint64_t recorded_after = 0;         // the latest piece of memory when the recording began
  uint64_t pieces_until = 0;           // and when it ended
};

cudaError_t begin_capture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t end_capture(cudaStream_t stream, std::shared_ptr<Graph>& graph);
cudaStreamCaptureStatus capture_status(cudaStream_t stream);
uint64_t capture_id(cudaStream_t stream);
void invalidate_capture();  // of this thread
cudaStreamCaptureMode exchange_capture_mode(cudaStreamCaptureMode mode);

/// Empty, or why it must not run.
std::string why_not_replay(const Graph& graph);
void replay(const Graph& graph, cudaStream_t stream);

// Counts, by kind of call.

struct Counters {
  std::atomic<int64_t> kernels = 0, graphs = 0, copies_in = 0, copies_out = 0, waits = 0, event_waits = 0,
                       stream_waits = 0;
};
Counters& counters();

}  // namespace grpo::host_device
