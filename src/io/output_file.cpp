#include "grpo/io/output_file.h"

#include <fcntl.h>
#include <sys/statvfs.h>

#include <regex>

#include "io/descriptor.h"

namespace grpo::io {
namespace fs = std::filesystem;

struct OutputFile::State {
  fs::path path;
  Descriptor file;
};

OutputFile::OutputFile(const fs::path& path, Mode mode)
    : state_(new State{path, Descriptor(path, O_WRONLY | O_CREAT | (mode == Mode::kAppend ? O_APPEND : O_TRUNC))}) {}

OutputFile::~OutputFile() = default;

void OutputFile::write(std::string_view bytes) { write_all(state_->file.get(), bytes, state_->path); }

uint64_t free_bytes(const fs::path& folder) {
  fs::path there = fs::absolute(folder);
  while (!fs::exists(there) && there.has_relative_path()) there = there.parent_path();
  struct statvfs info {};
  if (::statvfs(there.c_str(), &info) != 0) fail(there, "cannot ask for free space");
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

bool is_unfinished_name(const std::string& name) {
  static const std::regex pattern(R"(.+\.tmp-[0-9]+-[0-9]+)");
  return std::regex_match(name, pattern);
}

}  // namespace grpo::io
