#include "device/runtime/captures.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "device/runtime/rules.h"

namespace grpo::host_device {
namespace {

struct Captures {
  std::mutex mutex;
  std::map<cudaStream_t, std::shared_ptr<Capture>> by_stream;
  uint64_t next = 1;
};

Captures& captures() {
  static auto* const kept = new Captures;
  return *kept;
}

thread_local std::shared_ptr<Capture> of_this_thread;
thread_local cudaStreamCaptureMode mode_of_thread = cudaStreamCaptureModeGlobal;

// Whether some branch has work that the first one does not come behind, be it by way of others. For each branch and
// each event: how far into the graph every branch is known to be done.
bool has_loose_ends(const Graph& graph, size_t branches) {
  using Reached = std::vector<size_t>;
  std::vector<Reached> known(branches, Reached(branches, 0));
  std::map<const Mark*, Reached> at_event;
  for (size_t i = 0; i < graph.items.size(); ++i) {
    const Item& item = graph.items[i];
    Reached& here = known[item.branch];
    if (item.what == Item::What::kRecord) at_event[item.mark.get()] = here;
    if (item.what == Item::What::kWait)
      std::ranges::transform(here, at_event[item.mark.get()], here.begin(),
                             [](size_t a, size_t b) { return std::max(a, b); });
    if (item.what == Item::What::kRun || item.what == Item::What::kHostFunction) here[item.branch] = i + 1;
  }
  for (size_t b = 0; b < branches; ++b) {
    if (known[0][b] < known[b][b]) return true;
  }
  return false;
}

}  // namespace

Capture* capture_of(cudaStream_t stream) {
  const std::lock_guard lock(captures().mutex);
  const auto found = captures().by_stream.find(stream);
  return found == captures().by_stream.end() ? nullptr : found->second.get();
}

bool is_capturing(cudaStream_t stream) { return capture_of(stream) != nullptr; }

bool this_thread_records() { return of_this_thread != nullptr && mode_of_thread != cudaStreamCaptureModeRelaxed; }

During during_capture() { return this_thread_records() ? During::kRefused : During::kAllowed; }

cudaError_t begin_capture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (stream == nullptr || stream == cudaStreamLegacy)
    return fail(cudaErrorStreamCaptureUnsupported, "cudaStreamBeginCapture: of the default stream");
  if (is_capturing(stream))
    return fail(cudaErrorIllegalState, "cudaStreamBeginCapture: the stream is recorded already");
  const uint64_t piece = latest_piece();
  const std::lock_guard lock(captures().mutex);
  auto capture = std::make_shared<Capture>();
  capture->id = captures().next++;
  capture->graph.recorded_after = piece;
  capture->branches[stream] = 0;
  captures().by_stream[stream] = capture;
  of_this_thread = capture;
  return cudaSuccess;
}

cudaError_t end_capture(cudaStream_t stream, std::shared_ptr<Graph>& graph) {
  graph.reset();
  if (!is_capturing(stream)) return fail(cudaErrorIllegalState, "cudaStreamEndCapture: the stream is not recorded");
  std::shared_ptr<Capture> capture;
  {
    const std::lock_guard lock(captures().mutex);
    capture = captures().by_stream.at(stream);
    std::erase_if(captures().by_stream, [&](const auto& entry) { return entry.second == capture; });
  }
  of_this_thread.reset();
  if (capture->invalid)
    return fail(cudaErrorStreamCaptureInvalidated,
                "cudaStreamEndCapture: something that cannot be recorded was called (see above)");
  if (has_loose_ends(capture->graph, capture->branches.size()))
    return fail(cudaErrorStreamCaptureUnjoined,
                "cudaStreamEndCapture: the stream does not wait for all work of another one that it recorded");
  graph = std::make_shared<Graph>(std::move(capture->graph));
  while (graph->branches.size() + 1 < capture->branches.size()) graph->branches.push_back(create_stream());
  graph->pieces_until = latest_piece();
  return cudaSuccess;
}

cudaStreamCaptureStatus capture_status(cudaStream_t stream) {
  const Capture* const capture = capture_of(stream);
  if (capture == nullptr) return cudaStreamCaptureStatusNone;
  return capture->invalid ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
}

uint64_t capture_id(cudaStream_t stream) {
  const Capture* const capture = capture_of(stream);
  return capture == nullptr ? 0 : capture->id;
}

void invalidate_capture() {
  if (of_this_thread) of_this_thread->invalid = true;
}

cudaStreamCaptureMode exchange_capture_mode(cudaStreamCaptureMode mode) { return std::exchange(mode_of_thread, mode); }

cudaError_t join_capture(cudaStream_t stream, const MarkPointer& mark) {
  const std::lock_guard lock(captures().mutex);
  for (const auto& [other, capture] : captures().by_stream) {
    if (capture->id != mark->capture) continue;
    capture->add(stream, {.what = Item::What::kWait, .name = "wait", .mark = mark});
    captures().by_stream[stream] = capture;
    return cudaSuccess;
  }
  return fail(cudaErrorCapturedEvent, "cudaStreamWaitEvent: the event belongs to a recording that has ended");
}

std::string why_not_replay(const Graph& graph) {
  for (const Item& item : graph.items) {
    for (const Place& place : item.places) {
      // What was handed out during the recording belongs to the graph's pool, which keeps it.
      const bool own = place.piece > graph.recorded_after && place.piece <= graph.pieces_until;
      if (const auto gone = what_is_gone(place, own); !gone.empty()) return item.name + " uses " + gone;
    }
  }
  return "";
}

}  // namespace grpo::host_device
