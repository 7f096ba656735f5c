#pragma once

#include <string>

namespace grpo::app {

/// Says in one line whether a driver can run a program that was built with a CUDA version. Both versions are numbered
/// as CUDA does it, 1000 * major + 10 * minor: 12080 is 12.8. From CUDA 11 on a driver with the same or a higher major
/// version is enough (minor version compatibility). driver_name is what NVML gives, such as "580.65.06".
std::string driver_line(const std::string& driver_name, int driver_cuda, int built_cuda);

/// The oldest Linux driver branch for a CUDA major version; 0 if it is not known here.
int oldest_driver(int cuda_major);

}  // namespace grpo::app
