// What the device says of itself, and errors: functions of libcudart.
#include <cstdio>
#include <cstring>

#include "device/runtime/api.h"
#include "device/runtime/memory.h"
#include "device/runtime/rules.h"
#include "device/runtime/settings.h"

namespace host = grpo::host_device;
using host::api::kSharedMemory;

namespace {

constexpr int kProcessors = 132, kCudaVersion = 13000;
thread_local int device_of_thread = 0;

}  // namespace

int host::api::current_device() { return device_of_thread; }

HOST_API cudaGetDeviceCount(int* count) {
  *count = host::settings().devices;
  return cudaSuccess;
}

HOST_API cudaGetDevice(int* device) {
  *device = device_of_thread;
  return cudaSuccess;
}

HOST_API cudaSetDevice(int device) {
  if (device < 0 || device >= host::settings().devices)
    return host::fail(cudaErrorInvalidDevice, "cudaSetDevice: no device " + std::to_string(device));
  device_of_thread = device;
  return cudaSuccess;
}

// As an H100 answers.
HOST_API cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  auto& p = *properties;
  std::memset(&p, 0, sizeof p);
  std::snprintf(p.name, sizeof p.name, "Host memory");
  p.uuid.bytes[0] = static_cast<char>(device + 1);
  p.totalGlobalMem = host::settings().memory;
  p.major = 9;
  p.multiProcessorCount = kProcessors;
  p.warpSize = 32;
  p.maxThreadsPerBlock = 1024;
  p.maxThreadsPerMultiProcessor = 2048;
  p.maxBlocksPerMultiProcessor = 32;
  p.sharedMemPerBlock = kSharedMemory;
  p.sharedMemPerBlockOptin = 232448;
  p.sharedMemPerMultiprocessor = 233472;
  p.regsPerBlock = p.regsPerMultiprocessor = 65536;
  p.maxGridSize[0] = 2147483647;
  p.maxGridSize[1] = p.maxGridSize[2] = 65535;
  p.maxThreadsDim[0] = p.maxThreadsDim[1] = 1024;
  p.maxThreadsDim[2] = 64;
  p.l2CacheSize = 50 << 20;
  p.textureAlignment = 512;
  return cudaSuccess;
}

HOST_API cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = kProcessors;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = 9;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = kSharedMemory;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = 232448;
      break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = 233472;
      break;
    case cudaDevAttrMaxThreadsPerBlock:
      *value = 1024;
      break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *value = 2048;
      break;
    case cudaDevAttrWarpSize:
      *value = 32;
      break;
    default:
      *value = 0;
  }
  return cudaSuccess;
}

HOST_API cudaDriverGetVersion(int* version) {
  *version = kCudaVersion;
  return cudaSuccess;
}

HOST_API cudaRuntimeGetVersion(int* version) {
  *version = kCudaVersion;
  return cudaSuccess;
}

HOST_API cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}

HOST_API cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 0;
  return cudaSuccess;
}

HOST_API cudaDeviceEnablePeerAccess(int, unsigned) {
  return host::fail(cudaErrorPeerAccessUnsupported, "cudaDeviceEnablePeerAccess");
}

HOST_API cudaDeviceGetPCIBusId(char* text, int length, int device) {
  std::snprintf(text, static_cast<size_t>(length), "0000:%02x:00.0", device);
  return cudaSuccess;
}

HOST_API cudaGetLastError() { return host::take_last_error(); }
HOST_API cudaPeekAtLastError() { return host::last_error(); }

extern "C" HOST_EXPORT const char* cudaGetErrorName(cudaError_t error) {
  static thread_local char name[32];
  std::snprintf(name, sizeof name, "cudaError %d", static_cast<int>(error));
  return name;
}
extern "C" HOST_EXPORT const char* cudaGetErrorString(cudaError_t error) { return host::describe(error); }

// The driver's functions are not there.
HOST_API cudaGetDriverEntryPointByVersion(const char*, void** function, unsigned, unsigned long long,
                                          cudaDriverEntryPointQueryResult* result) {
  *function = nullptr;
  if (result != nullptr) *result = cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

// Memory of one process that another one opens.
HOST_API cudaIpcCloseMemHandle(void*) { return cudaErrorNotSupported; }
HOST_API cudaIpcGetEventHandle(cudaIpcEventHandle_t*, cudaEvent_t) {
  return host::fail(cudaErrorNotSupported, "cudaIpcGetEventHandle: not on the host device");
}
HOST_API cudaIpcGetMemHandle(cudaIpcMemHandle_t*, void*) {
  return host::fail(cudaErrorNotSupported, "cudaIpcGetMemHandle: not on the host device");
}
HOST_API cudaIpcOpenEventHandle(cudaEvent_t*, cudaIpcEventHandle_t) {
  return host::fail(cudaErrorNotSupported, "cudaIpcOpenEventHandle: not on the host device");
}
HOST_API cudaIpcOpenMemHandle(void**, cudaIpcMemHandle_t, unsigned) {
  return host::fail(cudaErrorNotSupported, "cudaIpcOpenMemHandle: not on the host device");
}
