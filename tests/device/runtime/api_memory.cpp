// Memory and copies: functions of libcudart.
#include <cstring>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "device/runtime/api.h"
#include "device/runtime/captures.h"
#include "device/runtime/memory.h"
#include "device/runtime/rules.h"
#include "device/runtime/settings.h"
#include "device/runtime/streams.h"

namespace host = grpo::host_device;
using host::Kind;

namespace {

struct Copy {
  void* to;
  const void* from;
  size_t bytes;
};

void move(const Copy& copy) {
  if (host::settings().arithmetic) std::memmove(copy.to, copy.from, copy.bytes);
}

std::vector<host::Place> places_of(const Copy& copy) {
  std::vector<host::Place> places;
  for (const void* end : {copy.from, static_cast<const void*>(copy.to)}) {
    if (host::is_device_memory(end)) places.push_back(host::place_of({end, copy.bytes}));
  }
  return places;
}

// A copy to the device that has not run yet. Its source must stay as it is, unless the device itself writes it first.
struct Read {
  Copy copy;
  uint64_t print;
};

struct Reads {
  std::mutex mutex;
  std::list<std::shared_ptr<Read>> pending;
};

Reads& reads() {
  static auto* const kept = new Reads;
  return *kept;
}

// Calls each with the reads that overlap what a copy from the device writes. REQUIRES: the mutex is held.
template <typename Each>
void for_each_read_of(const Copy& written, const Each& each) {
  const auto *begin = static_cast<const char*>(written.to), *end = begin + written.bytes;
  for (const auto& read : reads().pending) {
    const auto* from = static_cast<const char*>(read->copy.from);
    if (from < end && begin < from + read->copy.bytes) each(*read);
  }
}

void run_read(const std::shared_ptr<Read>& read) {
  const std::lock_guard lock(reads().mutex);
  reads().pending.remove(read);
  if (host::fingerprint(read->copy.from, read->copy.bytes) != read->print) {
    host::fail_device("cudaMemcpyAsync: pinned memory was rewritten before its copy of " +
                      std::to_string(read->copy.bytes) + " bytes to the device ran");
  }
  move(read->copy);
}

// A recorded copy reads what is there at each replay.
std::function<void()> from_pinned(const Copy& copy, bool recorded) {
  if (recorded || !host::settings().arithmetic) return [=] { move(copy); };
  auto read = std::make_shared<Read>(Read{copy, host::fingerprint(copy.from, copy.bytes)});
  const std::lock_guard lock(reads().mutex);
  reads().pending.push_back(read);
  return [read] { run_read(read); };
}

void write_pinned(const Copy& copy) {
  const std::lock_guard lock(reads().mutex);
  move(copy);
  for_each_read_of(copy, [](Read& read) { read.print = host::fingerprint(read.copy.from, read.copy.bytes); });
}

// The host sees what is in flight as a pattern, but where a copy to the device has to read it before.
void hide_until_copied(const Copy& copy, bool recorded) {
  const std::lock_guard lock(reads().mutex);
  bool read_before = recorded;
  for_each_read_of(copy, [&](const Read&) { read_before = true; });
  if (!read_before) host::fill(copy.to, copy.bytes);
}

cudaError_t wait_for_copy(cudaStream_t stream) {
  ++host::counters().waits;
  host::finish(stream);
  return host::device_error();
}

// CUDA reads pageable memory before it returns, and has written it when it does.
cudaError_t copy_pageable(const Copy& copy, bool in, cudaStream_t stream) {
  if (host::is_capturing(stream)) {
    host::invalidate_capture();
    return host::fail(cudaErrorStreamCaptureUnsupported, std::string("cudaMemcpyAsync: a copy ") +
                                                             (in ? "from" : "to") +
                                                             " pageable memory while the stream is recorded");
  }
  host::enqueue(stream, {.name = "copy", .run = [=] { move(copy); }, .places = places_of(copy)});
  return wait_for_copy(stream);
}

cudaError_t copy_async(const Copy& copy, cudaStream_t stream) {
  if (copy.bytes == 0) return cudaSuccess;
  const Kind from = host::kind_of(copy.from), to = host::kind_of(copy.to);
  const bool in = from != Kind::kDevice && to == Kind::kDevice, out = from == Kind::kDevice && to != Kind::kDevice;
  if (in) ++host::counters().copies_in;
  if (out) ++host::counters().copies_out;
  if ((in && from == Kind::kPageable) || (out && to == Kind::kPageable)) return copy_pageable(copy, in, stream);
  const bool recorded = host::is_capturing(stream);
  if (out) hide_until_copied(copy, recorded);
  const std::function<void()> run = in    ? from_pinned(copy, recorded)
                                    : out ? [=] { write_pinned(copy); }
                                          : std::function<void()>([=] { move(copy); });
  host::enqueue(stream, {.name = "copy", .run = run, .places = places_of(copy)});
  return host::device_error();
}

cudaError_t set_async(void* to, int value, size_t bytes, cudaStream_t stream) {
  host::enqueue(stream, {.name = "memset",
                         .run =
                             [=] {
                               if (host::settings().arithmetic) std::memset(to, value, bytes);
                             },
                         .places = {host::place_of({to, bytes})},
                         .kernel = true});
  return host::device_error();
}

}  // namespace

HOST_API cudaMalloc(void** pointer, size_t bytes) {
  if (const auto error = host::refuse_in_capture("cudaMalloc")) return error;
  if (!host::allocate(pointer, bytes, host::api::current_device())) {
    return host::fail(cudaErrorMemoryAllocation, "out of memory: cudaMalloc of " + std::to_string(bytes) + " bytes, " +
                                                     std::to_string(host::free_bytes(host::api::current_device())) +
                                                     " are free");
  }
  return cudaSuccess;
}

// As CUDA does, it waits for whatever may still use the memory.
HOST_API cudaFree(void* pointer) {
  if (pointer == nullptr) return cudaSuccess;
  if (const auto error = host::refuse_in_capture("cudaFree")) return error;
  host::finish_all();
  return host::release(pointer) ? cudaSuccess : host::fail(cudaErrorInvalidValue, "cudaFree: not allocated here");
}

HOST_API cudaMallocAsync(void** pointer, size_t bytes, cudaStream_t) { return cudaMalloc(pointer, bytes); }
HOST_API cudaFreeAsync(void* pointer, cudaStream_t) { return cudaFree(pointer); }

HOST_API cudaMemGetInfo(size_t* free, size_t* total) {
  *total = host::settings().memory;
  *free = host::free_bytes(host::api::current_device());
  return cudaSuccess;
}

HOST_API cudaHostAlloc(void** pointer, size_t bytes, unsigned) {
  if (const auto error = host::refuse_in_capture("cudaHostAlloc")) return error;
  return host::allocate_pinned(pointer, bytes) ? cudaSuccess
                                               : host::fail(cudaErrorMemoryAllocation, "cudaHostAlloc: no room");
}

HOST_API cudaMallocHost(void** pointer, size_t bytes) { return cudaHostAlloc(pointer, bytes, 0); }

HOST_API cudaFreeHost(void* pointer) {
  host::finish_all();
  host::release_pinned(pointer);
  return cudaSuccess;
}

HOST_API cudaHostRegister(void* pointer, size_t bytes, unsigned) {
  host::register_pinned(pointer, bytes);
  return cudaSuccess;
}

HOST_API cudaHostUnregister(void* pointer) {
  host::unregister_pinned(pointer);
  return cudaSuccess;
}

HOST_API cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  std::memset(attributes, 0, sizeof *attributes);
  const Kind kind = host::kind_of(pointer);
  attributes->type = kind == Kind::kDevice   ? cudaMemoryTypeDevice
                     : kind == Kind::kPinned ? cudaMemoryTypeHost
                                             : cudaMemoryTypeUnregistered;
  attributes->device = kind == Kind::kDevice ? host::device_of(pointer) : host::api::current_device();
  if (kind == Kind::kDevice) attributes->devicePointer = const_cast<void*>(pointer);
  if (kind != Kind::kDevice) attributes->hostPointer = const_cast<void*>(pointer);
  return cudaSuccess;
}

HOST_API cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  return copy_async({to, from, bytes}, stream);
}

HOST_API cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t bytes, cudaStream_t stream) {
  return copy_async({to, from, bytes}, stream);
}

HOST_API cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind) {
  if (const auto error = host::refuse_in_capture("cudaMemcpy")) return error;
  if (const auto error = copy_async({to, from, bytes}, nullptr)) return error;
  return wait_for_copy(nullptr);
}

HOST_API cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  return set_async(to, value, bytes, stream);
}
HOST_API cudaMemset(void* to, int value, size_t bytes) { return set_async(to, value, bytes, nullptr); }

// LibTorch asks for CUDA's own pools only where they are chosen.
HOST_API cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  *pool = nullptr;
  return cudaErrorNotSupported;
}
HOST_API cudaMemPoolGetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaErrorNotSupported; }
HOST_API cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaErrorNotSupported; }
HOST_API cudaMemPoolSetAccess(cudaMemPool_t, const cudaMemAccessDesc*, size_t) { return cudaErrorNotSupported; }
HOST_API cudaMemPoolTrimTo(cudaMemPool_t, size_t) { return cudaErrorNotSupported; }
