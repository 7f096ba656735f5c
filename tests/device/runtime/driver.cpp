// libcuda.so.1 where there is no driver: what this project and LibTorch ask of it. Nothing runs through the driver.
#include <cstddef>
#include <cstdio>
#include <cstdlib>

#define DRIVER_API extern "C" __attribute__((visibility("default"))) int

namespace {

constexpr int kSuccess = 0, kNotSupported = 801;

double number(const char* name, double otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::atof(text);
}

}  // namespace

DRIVER_API cuInit(unsigned) { return kSuccess; }

DRIVER_API cuDeviceGetCount(int* count) {
  *count = static_cast<int>(number("GRPO_HOST_DEVICE_COUNT", 1));
  return kSuccess;
}

DRIVER_API cuDeviceGetName(char* name, int size, int) {
  std::snprintf(name, static_cast<size_t>(size), "Host memory");
  return kSuccess;
}

DRIVER_API cuDeviceTotalMem_v2(size_t* bytes, int) {
  *bytes = static_cast<size_t>(number("GRPO_HOST_DEVICE_MEMORY", 80e9));
  return kSuccess;
}

DRIVER_API cuDevicePrimaryCtxGetState(int, unsigned* flags, int* active) {
  *flags = 0;
  *active = 1;
  return kSuccess;
}

DRIVER_API cuDeviceGet(int* device, int ordinal) {
  *device = ordinal;
  return kSuccess;
}

#define WITHOUT_EFFECT(name) \
  DRIVER_API name() { return kSuccess; }
#define NOT_SUPPORTED(name) \
  DRIVER_API name() { return kNotSupported; }

WITHOUT_EFFECT(cuCtxGetCurrent)
WITHOUT_EFFECT(cuCtxSetCurrent)
WITHOUT_EFFECT(cuDevicePrimaryCtxRetain)
NOT_SUPPORTED(cuDeviceGetAttribute)
NOT_SUPPORTED(cuFuncGetAttribute)
NOT_SUPPORTED(cuFuncSetAttribute)
NOT_SUPPORTED(cuFuncSetCacheConfig)
NOT_SUPPORTED(cuGetErrorString)
NOT_SUPPORTED(cuLaunchCooperativeKernel)
NOT_SUPPORTED(cuLaunchKernel)
NOT_SUPPORTED(cuLinkAddData_v2)
NOT_SUPPORTED(cuLinkComplete)
NOT_SUPPORTED(cuLinkCreate_v2)
NOT_SUPPORTED(cuModuleGetFunction)
NOT_SUPPORTED(cuModuleLoad)
NOT_SUPPORTED(cuModuleLoadData)
NOT_SUPPORTED(cuModuleLoadDataEx)
NOT_SUPPORTED(cuModuleUnload)
NOT_SUPPORTED(cuOccupancyMaxActiveBlocksPerMultiprocessor)
NOT_SUPPORTED(cuPointerGetAttribute)
NOT_SUPPORTED(cuTensorMapEncodeTiled)
