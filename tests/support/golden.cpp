#include "support/golden.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "grpo/io/json.h"
#include "support/paths.h"

namespace grpo::testing {
namespace fs = std::filesystem;

fs::path golden_dir() {
  const char* folder = std::getenv("GRPO_GOLDEN_DIR");
  return folder != nullptr ? fs::path(folder) : source_dir() / "tests" / "golden";
}

fs::path golden_section(const std::string& section) {
  const fs::path folder = golden_dir() / section;
  if (!fs::is_directory(folder) || fs::is_empty(folder)) {
    throw std::runtime_error(folder.string() + ": missing or empty; expected golden files (see GRPO_GOLDEN_DIR)");
  }
  return folder;
}

std::vector<fs::path> golden_folders(const std::string& section) {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(golden_section(section))) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  if (folders.empty()) throw std::runtime_error(section + ": no golden folders");
  std::sort(folders.begin(), folders.end());
  return folders;
}

nlohmann::json read_golden_json(const fs::path& path) {
  return io::read_json(fs::exists(path) ? path : fs::path(path.string() + ".xz"));
}

std::vector<nlohmann::json> read_jsonl(const fs::path& path) {
  std::vector<nlohmann::json> rows;
  io::JsonlReader reader(path.string());
  nlohmann::json row;
  while (reader.next(row)) rows.push_back(row);
  if (rows.empty()) throw std::runtime_error(path.string() + ": no rows");
  return rows;
}

TempDir::TempDir() {
  std::string pattern = (fs::temp_directory_path() / "grpo-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot create " + pattern);
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace grpo::testing
