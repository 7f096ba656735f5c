#pragma once

#include <filesystem>

namespace grpo::testing {

/// The checkout that the tests were built from.
std::filesystem::path source_dir();

/// tests/data of that checkout.
std::filesystem::path test_data_dir();

}  // namespace grpo::testing
