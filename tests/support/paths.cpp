#include "support/paths.h"

#include <cstdlib>

namespace grpo::testing {

std::filesystem::path source_dir() {
  const char* folder = std::getenv("GRPO_SOURCE_DIR");
  return folder != nullptr ? folder : GRPO_SOURCE_DIR;
}

std::filesystem::path test_data_dir() { return source_dir() / "tests" / "data"; }

}  // namespace grpo::testing
