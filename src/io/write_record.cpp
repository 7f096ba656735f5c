#include "grpo/io/write_record.h"

#include "grpo/base/error.h"

namespace grpo::io {
namespace fs = std::filesystem;
namespace {
thread_local std::map<fs::path, Written>* current_record = nullptr;
}

WriteRecord::WriteRecord() {
  GRPO_CHECK(current_record == nullptr, "two records of what one thread writes");
  current_record = &files_;
}

WriteRecord::~WriteRecord() { current_record = nullptr; }

void WriteRecord::note(const fs::path& path, const Written& written) {
  if (current_record != nullptr) (*current_record)[path] = written;
}

}  // namespace grpo::io
