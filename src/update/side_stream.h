#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>
#include <c10/core/StreamGuard.h>

#include <optional>

// Streams and events for work beside the caller's. On the CPU there are none, because there the work is done when a
// call returns.

namespace grpo::update {

/// The stream that the calling thread works on.
c10::Stream current_stream(at::Device device);

/// While the guard lives, this thread works on the device's one stream for work beside the rollout. It is never a
/// stream on which graphs are recorded (kernels/cuda/graph.cpp), and it is the same at every call: what a stream frees
/// its allocator keeps for that stream, so that with another one each step the memory of a step's activations would be
/// of no use to the next, until the device is full.
std::optional<c10::StreamGuard> side_stream(at::Device device);

/// An event that comes after everything that the device's current stream has been given so far.
std::optional<c10::Event> record_event(at::Device device);

}  // namespace grpo::update
