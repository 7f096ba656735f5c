#pragma once

#include <string>
#include <vector>

// What a user may say about a model: the device and the dtype that it computes with (models/device.h turns them into
// LibTorch's types), and where its weights come from.

namespace grpo::models {

enum class DtypeChoice { kAuto, kFloat32, kBfloat16 };
inline std::vector<std::string> enum_names(DtypeChoice) { return {"auto", "float32", "bfloat16"}; }

enum class DeviceChoice { kAuto, kCpu, kCuda };
inline std::vector<std::string> enum_names(DeviceChoice) { return {"auto", "cpu", "cuda"}; }

/// Weights as the model folder holds them, or random ones (CausalLM::init): then the folder needs none.
enum class WeightsChoice { kPretrained, kRandom };
inline std::vector<std::string> enum_names(WeightsChoice) { return {"pretrained", "random"}; }

}  // namespace grpo::models
