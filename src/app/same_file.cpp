#include "app/same_file.h"

#include <filesystem>

#include "grpo/base/error.h"

namespace grpo::app {

void refuse_same_file(const std::string& input, const std::string& output) {
  std::error_code missing;
  if (input == "-" || output == "-" || !std::filesystem::equivalent(input, output, missing)) return;
  if (!std::filesystem::is_regular_file(input, missing)) return;  // a terminal or a pipe may be both
  throw base::ConfigError("--output " + output + ": is the input itself, which would be lost; name another file");
}

}  // namespace grpo::app
