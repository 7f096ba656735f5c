// Streams, events and graphs: functions of libcudart.
#include <algorithm>
#include <chrono>
#include <string>

#include "device/host_device.h"
#include "device/runtime/api.h"
#include "device/runtime/captures.h"
#include "device/runtime/rules.h"
#include "device/runtime/settings.h"
#include "device/runtime/streams.h"

namespace host = grpo::host_device;

namespace {

struct Event {
  host::MarkPointer mark;  // of its latest record
};

host::MarkPointer& mark_of(cudaEvent_t event) { return reinterpret_cast<Event*>(event)->mark; }

// What must not be called for work that is being recorded.
cudaError_t refuse_recorded(const host::MarkPointer& mark, const char* call) {
  if (const auto error = host::refuse_in_capture(call)) return error;
  if (mark == nullptr || mark->capture == 0) return cudaSuccess;
  return host::fail(cudaErrorCapturedEvent, std::string(call) + ": of an event that was recorded into a graph");
}

cudaError_t refuse_recorded(cudaStream_t stream, const char* call) {
  if (!host::is_capturing(stream)) return host::refuse_in_capture(call);
  host::invalidate_capture();
  return host::fail(cudaErrorStreamCaptureUnsupported, std::string(call) + ": the stream is recorded");
}

using GraphPointer = std::shared_ptr<host::Graph>;

GraphPointer& graph_of(void* handle) { return *static_cast<GraphPointer*>(handle); }

}  // namespace

cudaError_t host::wait_for(cudaStream_t stream, const char* why) {
  if (const auto error = refuse_recorded(stream, why)) return error;
  ++host::counters().waits;
  host::finish(stream);
  return host::device_error();
}

HOST_API cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) {
  *stream = host::create_stream();
  return cudaSuccess;
}
HOST_API cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return cudaStreamCreateWithPriority(stream, 0, 0);
}
HOST_API cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithPriority(stream, 0, 0); }

HOST_API cudaStreamDestroy(cudaStream_t stream) {
  host::destroy_stream(stream);
  return cudaSuccess;
}

HOST_API cudaStreamSynchronize(cudaStream_t stream) { return host::wait_for(stream, "cudaStreamSynchronize"); }

HOST_API cudaDeviceSynchronize() {
  if (const auto error = host::refuse_in_capture("cudaDeviceSynchronize")) return error;
  ++host::counters().waits;
  host::finish_all();
  return host::device_error();
}

HOST_API cudaStreamQuery(cudaStream_t stream) {
  if (const auto error = refuse_recorded(stream, "cudaStreamQuery")) return error;
  if (const auto error = host::device_error()) return error;
  return host::is_done(stream) ? cudaSuccess : cudaErrorNotReady;
}

HOST_API cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return host::wait_in_stream(stream, mark_of(event));
}

HOST_API cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  host::enqueue(stream,
                {.what = host::Item::What::kHostFunction, .name = "host function", .run = [=] { function(data); }});
  return cudaSuccess;
}

HOST_API cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t function, void* data, unsigned) {
  host::enqueue(stream, {.what = host::Item::What::kHostFunction, .name = "callback", .run = [=] {
                           function(stream, host::device_error(), data);
                         }});
  return cudaSuccess;
}

HOST_API cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = reinterpret_cast<cudaEvent_t>(new Event);
  return cudaSuccess;
}
HOST_API cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }

HOST_API cudaEventDestroy(cudaEvent_t event) {
  delete reinterpret_cast<Event*>(event);
  return cudaSuccess;
}

HOST_API cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned) {
  mark_of(event) = host::record(stream);
  return cudaSuccess;
}
HOST_API cudaEventRecord(cudaEvent_t event, cudaStream_t stream) { return cudaEventRecordWithFlags(event, stream, 0); }

HOST_API cudaEventQuery(cudaEvent_t event) {
  if (const auto error = refuse_recorded(mark_of(event), "cudaEventQuery")) return error;
  if (const auto error = host::device_error()) return error;
  return host::is_done(mark_of(event)) ? cudaSuccess : cudaErrorNotReady;
}

HOST_API cudaEventSynchronize(cudaEvent_t event) {
  if (const auto error = refuse_recorded(mark_of(event), "cudaEventSynchronize")) return error;
  ++host::counters().event_waits;
  if (host::waits_for_events()) host::finish(mark_of(event));
  return host::device_error();
}

HOST_API cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const auto &a = mark_of(start), &b = mark_of(end);
  if (a == nullptr || b == nullptr)
    return host::fail(cudaErrorInvalidResourceHandle, "cudaEventElapsedTime: an event that was not recorded");
  if (!a->done || !b->done) return cudaErrorNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(b->time - a->time).count();
  return cudaSuccess;
}

HOST_API cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  *status = host::capture_status(stream);
  return cudaSuccess;
}

HOST_API cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status, unsigned long long* id,
                                  cudaGraph_t* graph, const cudaGraphNode_t** dependencies,
                                  const cudaGraphEdgeData** edges, size_t* count) {
  *status = host::capture_status(stream);
  if (id != nullptr) *id = host::capture_id(stream);
  if (graph != nullptr) *graph = nullptr;
  if (dependencies != nullptr) *dependencies = nullptr;
  if (edges != nullptr) *edges = nullptr;
  if (count != nullptr) *count = 0;
  return cudaSuccess;
}

HOST_API cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return host::begin_capture(stream, mode);
}

HOST_API cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  *mode = host::exchange_capture_mode(*mode);
  return cudaSuccess;
}

HOST_API cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  GraphPointer recorded;
  if (const auto error = host::end_capture(stream, recorded)) return error;
  *graph = reinterpret_cast<cudaGraph_t>(new GraphPointer(std::move(recorded)));
  return cudaSuccess;
}

HOST_API cudaGraphInstantiateWithFlags(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = reinterpret_cast<cudaGraphExec_t>(new GraphPointer(graph_of(graph)));
  return cudaSuccess;
}

HOST_API cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const auto& graph = *graph_of(executable);
  if (const auto why = host::why_not_replay(graph); !why.empty())
    return host::fail(cudaErrorIllegalAddress, "cudaGraphLaunch: " + why);
  host::replay(graph, stream);
  return host::device_error();
}

HOST_API cudaGraphDestroy(cudaGraph_t graph) {
  delete &graph_of(graph);
  return cudaSuccess;
}
HOST_API cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete &graph_of(executable);
  return cudaSuccess;
}

HOST_API cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, size_t* count) {
  *count = static_cast<size_t>(std::ranges::count_if(
      graph_of(graph)->items, [](const host::Item& item) { return item.what == host::Item::What::kRun; }));
  return cudaSuccess;
}
HOST_API cudaGraphNodeGetDependencies(cudaGraphNode_t, cudaGraphNode_t*, cudaGraphEdgeData*, size_t* count) {
  *count = 0;
  return cudaSuccess;
}
HOST_API cudaGraphDebugDotPrint(cudaGraph_t, const char*, unsigned) { return cudaErrorNotSupported; }
