#pragma once

#include <ctime>
#include <string>

namespace grpo::base {

/// A moment in this machine's time zone, written by strftime with `format`. The text may have at most
/// 63 bytes, else the result is "".
std::string local_time(std::time_t moment, const char* format);

/// The time of day as it stands at the beginning of a log line: "14:03:59".
inline std::string clock_time() { return local_time(std::time(nullptr), "%H:%M:%S"); }

}  // namespace grpo::base
