#include "grpo/models/device.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/io/json.h"
#include "grpo/kernels/cuda.h"

namespace grpo::models {

at::ScalarType stored_dtype(const std::filesystem::path& model_folder) {
  const auto config = io::read_json(model_folder / "config.json");
  for (const char* key : {"torch_dtype", "dtype"}) {
    for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
      if (config.contains(key) && config.at(key) == dtype_name(dtype)) return dtype;
    }
  }
  return at::kBFloat16;
}

at::Device resolve_device(DeviceChoice choice, int64_t local_rank) {
  if (choice == DeviceChoice::kCpu) return at::kCPU;
  const int devices = kernels::cuda_device_count();
  const std::string missing = devices == 0 ? "the driver offers no CUDA device here" : kernels::load_cuda();
  if (!missing.empty()) {
    if (choice == DeviceChoice::kCuda) throw base::ConfigError("device cuda: " + missing + "; use device: cpu");
    if (devices > 0)
      base::log_warning(
          base::concat("device auto: this machine has a CUDA device, but ", missing, "; running on the CPU"));
    return at::kCPU;
  }
  if (local_rank >= devices)
    throw base::ConfigError(
        base::concat("rank ", local_rank, " of this host has no device of its own: there are ", devices));
  return {at::kCUDA, static_cast<c10::DeviceIndex>(local_rank)};
}

double device_memory_bytes(at::Device device) { return kernels::cuda_memory_bytes(device.index()); }

double peak_device_bytes(at::Device device) {
  return static_cast<double>(
      c10::getDeviceAllocator(device.type())->getDeviceStats(device.index()).reserved_bytes[0].peak);
}

void use_device(at::Device device) {
  if (device.is_cuda()) c10::impl::VirtualGuardImpl(device.type()).setDevice(device);
}

at::ScalarType resolve_dtype(DtypeChoice choice, const std::filesystem::path& model_folder, at::Device device) {
  if (choice == DtypeChoice::kFloat32) return at::kFloat;
  if (choice == DtypeChoice::kBfloat16) return at::kBFloat16;
  if (device.is_cpu()) return at::kFloat;
  return stored_dtype(model_folder) == at::kFloat ? at::kFloat : at::kBFloat16;
}

std::string dtype_name(at::ScalarType dtype) {
  if (dtype == at::kFloat) return "float32";
  if (dtype == at::kBFloat16) return "bfloat16";
  GRPO_CHECK(dtype == at::kHalf, "dtype ", c10::toString(dtype));
  return "float16";
}

}  // namespace grpo::models
