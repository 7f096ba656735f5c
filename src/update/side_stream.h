#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>
#include <c10/core/StreamGuard.h>

#include <optional>

// Streams and events of work beside the caller's; none of them on the CPU, where work is done when the call returns.

namespace grpo::update {

/// The stream that the calling thread works on.
c10::Stream current_stream(at::Device device);

/// The device's one stream for work beside the rollout, while the guard lives: never one on which graphs are recorded
/// (kernels/cuda/graph.cpp), and the same at every call. What a stream frees its allocator keeps for that stream: with
/// another one each step a step's activations would lie there, of no use to the next, until the device is full.
std::optional<c10::StreamGuard> side_stream(at::Device device);

/// An event behind what the device's current stream was given so far.
std::optional<c10::Event> record_event(at::Device device);

}  // namespace grpo::update
