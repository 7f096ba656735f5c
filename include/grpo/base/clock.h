#pragma once

#include <ctime>
#include <string>

namespace grpo::base {

/// A moment in this machine's time zone, as strftime's `format` writes it, at most 63 bytes.
std::string local_time(std::time_t moment, const char* format);

/// Now, as lines of a log begin: "14:03:59".
inline std::string clock_time() { return local_time(std::time(nullptr), "%H:%M:%S"); }

}  // namespace grpo::base
