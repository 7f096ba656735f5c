#pragma once

#include <string>
#include <vector>

// What a user may choose about a model: the device and dtype with which it computes (models/device.h turns them into
// LibTorch's types), and where its weights come from.

namespace grpo::models {

enum class DtypeChoice { kAuto, kFloat32, kBfloat16 };
inline std::vector<std::string> enum_names(DtypeChoice) { return {"auto", "float32", "bfloat16"}; }

enum class DeviceChoice { kAuto, kCpu, kCuda };
inline std::vector<std::string> enum_names(DeviceChoice) { return {"auto", "cpu", "cuda"}; }

/// The weights of the model folder, or random ones (CausalLM::init), for which the folder needs no weights.
enum class WeightsChoice { kPretrained, kRandom };
inline std::vector<std::string> enum_names(WeightsChoice) { return {"pretrained", "random"}; }

}  // namespace grpo::models
