#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>
#include <c10/core/StreamGuard.h>

#include <optional>

// Streams and events for work that runs beside the caller's. On the CPU there are none, because there the work of a
// call is done when the call returns.

namespace grpo::update {

/// The stream that the calling thread works on.
c10::Stream current_stream(at::Device device);

/// While the guard lives, this thread works on the device's one stream for work beside the rollout; nullopt on the CPU.
/// It is never a stream on which graphs are recorded (kernels/cuda/graph.cpp). It is the same stream at every call,
/// because the allocator keeps freed memory for the stream that freed it: with another stream in each step, the memory
/// of one step's activations could not serve the next, until the device is full.
std::optional<c10::StreamGuard> side_stream(at::Device device);

/// An event that comes after everything that the device's current stream has been given so far; nullopt on the CPU.
std::optional<c10::Event> record_event(at::Device device);

}  // namespace grpo::update
