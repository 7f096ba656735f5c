#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "grpo/base/error.h"

// A fuzz target is a function of bytes, LLVMFuzzerTestOneInput. libFuzzer calls it (GRPO_BUILD_FUZZERS), and replay.cpp
// in the ordinary tests. What it reads may be refused with a base::Error; any other exception is a fault.

namespace grpo::testing {

inline std::string_view text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// A file of this process in a folder of its own, which is removed at the end.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& name);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  /// Replaces the contents.
  const std::filesystem::path& with(std::string_view bytes);
  std::filesystem::path folder() const { return path_.parent_path(); }

 private:
  std::filesystem::path path_;
};

/// Calls `read` and lets it refuse its input.
template <typename Function>
void may_refuse(const Function& read) {
  try {
    read();
  } catch (const base::Error&) {
  }
}

}  // namespace grpo::testing
