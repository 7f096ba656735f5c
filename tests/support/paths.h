#pragma once

#include <filesystem>

namespace grpo::testing {

/// The checkout that the tests were built from; $GRPO_SOURCE_DIR where they were taken elsewhere.
std::filesystem::path source_dir();

/// tests/data of that checkout.
std::filesystem::path test_data_dir();

}  // namespace grpo::testing
