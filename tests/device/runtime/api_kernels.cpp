// Kernels: functions of libcudart. Machine code cannot run here; a kernel runs where somebody has added its host
// version.
#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "device/host_device.h"
#include "device/runtime/api.h"
#include "device/runtime/captures.h"
#include "device/runtime/rules.h"
#include "device/runtime/settings.h"
#include "device/runtime/streams.h"

namespace host = grpo::host_device;

namespace {

struct Function {
  std::string symbol;
  size_t most_shared = host::api::kSharedMemory;
};

// Filled before any static object of this library exists.
struct Registry {
  std::mutex mutex;
  std::map<const void*, Function> functions;
  std::vector<std::pair<std::string, host::HostVersion>> versions;
};

Registry& registry() {
  static auto* const kept = new Registry;
  return *kept;
}

Function function_of(const void* handle) {
  const std::lock_guard lock(registry().mutex);
  const auto found = registry().functions.find(handle);
  return found == registry().functions.end() ? Function{"a kernel that is not registered"} : found->second;
}

const host::HostVersion* version_of(const std::string& symbol) {
  const std::lock_guard lock(registry().mutex);
  for (const auto& [name, version] : registry().versions) {
    if (symbol.find(name) != std::string::npos) return &version;
  }
  return nullptr;
}

struct Configuration {
  dim3 grid, block;
  size_t shared_bytes = 0;
  cudaStream_t stream = nullptr;
};
thread_local Configuration pushed;

cudaError_t launch_function(const void* handle, const Configuration& with, void** arguments) {
  const Function function = function_of(handle);
  if (const auto why = host::refusal(with.grid, with.block, with.shared_bytes, function.most_shared); !why.empty())
    return host::fail(cudaErrorInvalidConfiguration, function.symbol + ": " + why);
  const auto* version = version_of(function.symbol);
  if (version == nullptr)
    return host::fail(cudaErrorInvalidDeviceFunction,
                      function.symbol + ": the host device has no version of this kernel");
  host::launch(with.stream, (*version)(with.grid, arguments));
  return host::device_error();
}

std::vector<host::Place> places_of(const std::vector<host::Span>& memory) {
  std::vector<host::Place> places;
  std::transform(memory.begin(), memory.end(), std::back_inserter(places), host::place_of);
  return places;
}

bool refused_on_default_stream(cudaStream_t stream, const std::string& name) {
  if (!host::this_thread_records() || host::is_capturing(stream)) return false;
  host::invalidate_capture();
  host::fail(cudaErrorStreamCaptureImplicit,
             name + ": launched on " + (stream == nullptr ? "the default stream" : "a stream that is not recorded") +
                 " while this thread records a graph");
  return true;
}

}  // namespace

void host::launch(cudaStream_t stream, Kernel kernel) {
  if (refused_on_default_stream(stream, kernel.name)) return;
  if (!settings().arithmetic) kernel.run = nullptr;
  enqueue(stream, {.name = std::move(kernel.name),
                   .run = std::move(kernel.run),
                   .places = places_of(kernel.memory),
                   .kernel = true});
}

void host::add_host_version(std::string name, HostVersion version) {
  const std::lock_guard lock(registry().mutex);
  registry().versions.emplace_back(std::move(name), std::move(version));
}

void host::fault(const std::string& message) {
  if (device_error() == cudaSuccess) fail_device(message);
}

void host::refuse_launch(const std::string& message) { fail(cudaErrorInvalidConfiguration, message); }

bool host::computes() { return settings().arithmetic; }

host::Counts host::counts() {
  const auto& c = counters();
  const auto memory = memory_counts();
  return {.kernels = c.kernels,
          .graphs = c.graphs,
          .copies_in = c.copies_in,
          .copies_out = c.copies_out,
          .waits = c.waits,
          .event_waits = c.event_waits,
          .stream_waits = c.stream_waits,
          .allocations = memory.allocations,
          .device_bytes = memory.bytes};
}

extern "C" HOST_EXPORT void** __cudaRegisterFatBinary(void*) {
  static void* handle = nullptr;
  return &handle;
}
extern "C" HOST_EXPORT void __cudaRegisterFatBinaryEnd(void**) {}
extern "C" HOST_EXPORT void __cudaUnregisterFatBinary(void**) {}

extern "C" HOST_EXPORT void __cudaRegisterFunction(void**, const char* handle, char*, const char* symbol, int, uint3*,
                                                   uint3*, dim3*, dim3*, int*) {
  const std::lock_guard lock(registry().mutex);
  registry().functions[handle].symbol = symbol;
}
extern "C" HOST_EXPORT void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}

extern "C" HOST_EXPORT unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared_bytes,
                                                            CUstream_st* stream) {
  pushed = {grid, block, shared_bytes, stream};
  return 0;
}
HOST_API __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared_bytes, void* stream) {
  *grid = pushed.grid;
  *block = pushed.block;
  *shared_bytes = pushed.shared_bytes;
  std::memcpy(stream, &pushed.stream, sizeof pushed.stream);
  return cudaSuccess;
}

HOST_API __cudaGetKernel(cudaKernel_t* kernel, const void* handle) {
  *kernel = reinterpret_cast<cudaKernel_t>(const_cast<void*>(handle));
  return cudaSuccess;
}

HOST_API cudaLaunchKernel(const void* handle, dim3 grid, dim3 block, void** arguments, size_t shared_bytes,
                          cudaStream_t stream) {
  return launch_function(handle, {grid, block, shared_bytes, stream}, arguments);
}
HOST_API __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments, size_t shared_bytes,
                            cudaStream_t stream) {
  return launch_function(kernel, {grid, block, shared_bytes, stream}, arguments);
}
HOST_API cudaLaunchKernelExC(const cudaLaunchConfig_t* with, const void* handle, void** arguments) {
  return launch_function(handle, {with->gridDim, with->blockDim, with->dynamicSmemBytes, with->stream}, arguments);
}

HOST_API cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* handle) {
  std::memset(attributes, 0, sizeof *attributes);
  attributes->maxThreadsPerBlock = 1024;
  attributes->numRegs = 32;
  attributes->binaryVersion = attributes->ptxVersion = 90;
  attributes->maxDynamicSharedSizeBytes = static_cast<int>(function_of(handle).most_shared);
  return cudaSuccess;
}

HOST_API cudaFuncSetAttribute(const void* handle, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  if (value > 232448)
    return host::fail(cudaErrorInvalidValue,
                      "cudaFuncSetAttribute: " + std::to_string(value) + " bytes of shared memory");
  const std::lock_guard lock(registry().mutex);
  registry().functions[handle].most_shared = static_cast<size_t>(value);
  return cudaSuccess;
}

HOST_API cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*, int threads,
                                                                size_t shared_bytes, unsigned) {
  const int by_memory = shared_bytes == 0 ? 32 : static_cast<int>(233472 / shared_bytes);
  *blocks = std::max(1, std::min({32, by_memory, 2048 / std::max(threads, 1)}));
  return cudaSuccess;
}
HOST_API cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* handle, int threads,
                                                       size_t shared_bytes) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, handle, threads, shared_bytes, 0);
}

HOST_API cudaGetSymbolAddress(void** pointer, const void* symbol) {
  *pointer = const_cast<void*>(symbol);
  return cudaSuccess;
}
HOST_API cudaMemcpyToSymbol(const void*, const void*, size_t, size_t, cudaMemcpyKind) { return cudaSuccess; }
