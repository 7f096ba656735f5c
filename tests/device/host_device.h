#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// A CUDA device made of host memory.
//
// libgrpo_host_cudart.so (runtime/) defines the functions of libcudart that LibTorch, FlashInfer and our own kernels
// import; libgrpo_host_operators.so (operators/, kernels/) has an answer for each kernel that they launch. Preloaded
// into any program of this project they make it run on "cuda:0" without a GPU, with the numbers of the CPU. Everything
// above the machine code of kernels is the real thing: LibTorch's dispatcher, caching allocator, streams, events,
// graphs and autograd threads, our launchers and planners, FlashInfer's planning.
//
// What the device promises:
//  - Work of a stream runs in its order; work of two streams in any order that events and host waits allow. With a
//  seed, work
//    is queued, runs as late as somebody waits for it, and the order is drawn from the seed: a wait that is missing
//    shows as a wrong number. Without a seed it runs at once.
//  - Fresh memory is a pattern that is NaN in every floating type; what LibTorch's allocator takes back is overwritten
//  with it
//    in the order of its stream, in replays of graphs too.
//  - What CUDA forbids, or leaves undefined, is an error that names the call: see runtime/rules.h.
//  - Everything is counted: see Counts.
//
// Environment, read once:
//   GRPO_HOST_DEVICE_SEED        0 (or unset): at once; otherwise late, in the order of this seed
//   GRPO_HOST_DEVICE_MEMORY      bytes of memory of each device (80e9)
//   GRPO_HOST_DEVICE_COUNT       devices (1)
//   GRPO_HOST_DEVICE_ARITHMETIC  0: nothing is computed and no memory touched, for models that this machine cannot hold
//   GRPO_HOST_DEVICE_REPORT      a file that gets the most memory that was held and handed out, as JSON, whenever it
//                                has grown by a thousandth
//   GRPO_HOST_DEVICE_FAULT       stream_waits: no stream waits for another one, as plant(Fault::kNoStreamWaits)
//
// Where the machine has a real GPU the library steps aside: it starts the program again without itself.

namespace grpo::host_device {

/// Device or host memory that work reads or writes.
struct Span {
  const void* data = nullptr;
  size_t bytes = 0;
};

/// A kernel, as a stream takes it.
struct Kernel {
  std::string name;
  std::vector<Span> memory;  // a graph may be replayed only while it lives
  std::function<void()> run;
};

/// Queues a kernel. Throws nothing: what is wrong is the device's error, as with CUDA.
void launch(cudaStream_t stream, Kernel kernel);

/// Whether launches on the stream are recorded now.
bool is_capturing(cudaStream_t stream);

/// Until all work of the stream is done. The host waits: it counts, and is an error during a capture.
cudaError_t wait_for(cudaStream_t stream, const char* why);

bool computes();  // false: GRPO_HOST_DEVICE_ARITHMETIC=0
bool is_device_memory(const void* pointer);

/// LibTorch's allocator handed out, or took back, a piece of device memory (it is poisoned in the order of `stream`).
void on_allocated(const void* data, size_t bytes);
void on_freed(const void* data, size_t bytes, cudaStream_t stream);

/// What a kernel that was compiled for the device does here: from its arguments, as cudaLaunchKernel gets them, what it
/// would compute. The arguments are read in the call, not later.
using HostVersion = std::function<Kernel(dim3 grid, void** arguments)>;
/// For all kernels whose symbol contains `name`.
void add_host_version(std::string name, HostVersion version);

/// A launch that the device would refuse: too many blocks, threads, too much shared memory. Empty: it is fine.
std::string refusal(dim3 grid, dim3 block, size_t shared_bytes, size_t most_shared_bytes);

/// The launch fails with this message.
void refuse_launch(const std::string& message);

/// A kernel does what a real device would stop at; it goes on here, and the device is lost.
void fault(const std::string& message);

struct Counts {
  int64_t kernels = 0;       // launched, also by replays
  int64_t graphs = 0;        // replays
  int64_t copies_in = 0;     // host to device
  int64_t copies_out = 0;    // device to host
  int64_t waits = 0;         // of the host for a stream or the device, blocking copies too
  int64_t event_waits = 0;   // of the host for an event
  int64_t stream_waits = 0;  // asked of a stream, for an event
  int64_t allocations = 0;   // cudaMalloc
  int64_t device_bytes = 0;  // held by cudaMalloc now
};
Counts counts();

/// Errors so far, also those that nobody asked for yet: work that failed, memory rewritten too early, memory that is
/// gone. The device is well again afterwards, as no real one would be.
std::vector<std::string> take_errors();

// For tests of the device itself, and of what it finds.

/// The order of what is launched from now on: see GRPO_HOST_DEVICE_SEED.
void set_seed(uint64_t seed);

/// Mistakes that somebody may make in a program, made for it.
enum class Fault {
  kNone,
  kNoStreamWaits,  // cudaStreamWaitEvent does nothing
  kNoEventWaits,   // cudaEventSynchronize returns at once
};
/// At every call, or at one of them only: 0 is the next.
void plant(Fault fault, std::optional<int64_t> only = std::nullopt);

}  // namespace grpo::host_device
