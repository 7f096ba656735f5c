#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace grpo::testing {

/// Numbers from reference implementations: $GRPO_GOLDEN_DIR read now, else the repository's tests/golden.
std::filesystem::path golden_dir();

/// The sub-folders of golden_dir()/section in name order. An empty or missing section throws: it must fail a test.
std::vector<std::filesystem::path> golden_folders(const std::string& section);

/// golden_dir()/section; throws when it is missing or empty.
std::filesystem::path golden_section(const std::string& section);

/// Reads `path`, or `path` + ".xz" when only that exists.
nlohmann::json read_golden_json(const std::filesystem::path& path);

/// All objects of a JSONL file. An empty file throws.
std::vector<nlohmann::json> read_jsonl(const std::filesystem::path& path);

/// A fresh folder that is removed at the end of its scope.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace grpo::testing
