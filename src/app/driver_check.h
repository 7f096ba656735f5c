#pragma once

#include <string>

namespace grpo::app {

/// Whether a driver can run a program that was built with a CUDA version, in one line; both versions as CUDA numbers
/// them (1000 * major + 10 * minor, 12080 is 12.8). From CUDA 11 on a driver of the same major version or a newer one
/// will do (minor version compatibility). driver_name: as NVML gives it, e.g. "580.65.06".
std::string driver_line(const std::string& driver_name, int driver_cuda, int built_cuda);

/// The oldest Linux driver branch for a CUDA major version; 0 where it is not known here.
int oldest_driver(int cuda_major);

}  // namespace grpo::app
