#include "support/paths.h"

namespace grpo::testing {

std::filesystem::path source_dir() { return GRPO_SOURCE_DIR; }

std::filesystem::path test_data_dir() { return source_dir() / "tests" / "data"; }

}  // namespace grpo::testing
