#include "grpo/base/clock.h"

namespace grpo::base {

std::string local_time(std::time_t moment, const char* format) {
  std::tm local{};
  ::localtime_r(&moment, &local);
  char text[64];
  return {text, std::strftime(text, sizeof text, format, &local)};
}

}  // namespace grpo::base
