#include "grpo/base/error.h"

namespace grpo::base {

void check_failed(const char* file, int line, const char* condition, const std::string& message) {
  throw std::logic_error(concat(file, ":", line, ": check failed: ", condition, message.empty() ? "" : " — ", message));
}

}  // namespace grpo::base
