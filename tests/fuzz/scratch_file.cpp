#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "fuzz.h"

namespace grpo::testing {

ScratchFile::ScratchFile(const std::string& name) {
  std::string folder = (std::filesystem::temp_directory_path() / "grpo_fuzz_XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) std::abort();
  path_ = std::filesystem::path(folder) / name;
}

ScratchFile::~ScratchFile() {
  std::error_code ignored;
  std::filesystem::remove_all(folder(), ignored);
}

const std::filesystem::path& ScratchFile::with(std::string_view bytes) {
  std::ofstream out(path_, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) std::abort();
  return path_;
}

}  // namespace grpo::testing
