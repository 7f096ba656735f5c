#include "grpo/models/device.h"

#include <ATen/Context.h>

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/io/json.h"

namespace grpo::models {
namespace {

std::string stored_dtype(const std::filesystem::path& folder) {
  const auto config = io::read_json(folder / "config.json");
  for (const char* key : {"torch_dtype", "dtype"}) {
    if (config.contains(key) && config.at(key).is_string()) return config.at(key).get<std::string>();
  }
  return "bfloat16";
}

}  // namespace

at::Device resolve_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  const bool has_cuda = at::hasCUDA();
  if (name == "auto") return has_cuda ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  if (name != "cuda") {
    throw base::ConfigError("device " + name + ": unknown" + base::did_you_mean(name, {"auto", "cpu", "cuda"}));
  }
  if (!has_cuda) throw base::ConfigError("device cuda: this build or machine has no CUDA device; use device: cpu");
  return {at::kCUDA, 0};
}

at::ScalarType resolve_dtype(const std::string& name, const std::filesystem::path& model_folder, at::Device device) {
  if (name == "float32") return at::kFloat;
  if (name == "bfloat16") return at::kBFloat16;
  if (name != "auto") {
    throw base::ConfigError("dtype " + name + ": unknown" + base::did_you_mean(name, {"auto", "float32", "bfloat16"}));
  }
  if (device.is_cpu()) return at::kFloat;
  return stored_dtype(model_folder) == "float32" ? at::kFloat : at::kBFloat16;
}

std::string dtype_name(at::ScalarType dtype) {
  if (dtype == at::kFloat) return "float32";
  if (dtype == at::kBFloat16) return "bfloat16";
  GRPO_CHECK(dtype == at::kHalf, "dtype ", c10::toString(dtype));
  return "float16";
}

}  // namespace grpo::models
