#pragma once

#include <cstddef>
#include <cstdint>

namespace grpo::host_device {

/// From the environment, but for a seed that was set: see host_device.h.
struct Settings {
  uint64_t seed = 0;
  size_t memory = 80'000'000'000;
  int devices = 1;
  bool arithmetic = true;
};
const Settings& settings();

/// What was planted.
bool waits_in_streams();
bool waits_for_events();

}  // namespace grpo::host_device
