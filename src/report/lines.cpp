#include "report/lines.h"

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/json_errors.h"

namespace grpo::report {
namespace {

// Reads the next line; returns false at the end, or when only a malformed last line is left.
bool next_whole(io::JsonlReader& reader, nlohmann::json& line) {
  try {
    return reader.next(line);
  } catch (const base::IoError&) {
    nlohmann::json after;
    bool more = true;
    try {
      more = reader.next(after);
    } catch (const base::IoError&) {
    }
    if (more) throw;
    return false;
  }
}

}  // namespace

void for_each_line(const std::filesystem::path& file, const std::function<bool(const nlohmann::json& line)>& use) {
  io::JsonlReader reader(file.string());
  nlohmann::json line;
  while (next_whole(reader, line) && io::with_json_errors(reader, [&] { return use(line); })) {
  }
}

}  // namespace grpo::report
