#pragma once

#include <string>
#include <vector>

// What a user may say about the device and the dtype that a model computes with. models/device.h turns it into
// LibTorch's types.

namespace grpo::models {

enum class DtypeChoice { kAuto, kFloat32, kBfloat16 };
inline std::vector<std::string> enum_names(DtypeChoice) { return {"auto", "float32", "bfloat16"}; }

enum class DeviceChoice { kAuto, kCpu, kCuda };
inline std::vector<std::string> enum_names(DeviceChoice) { return {"auto", "cpu", "cuda"}; }

}  // namespace grpo::models
