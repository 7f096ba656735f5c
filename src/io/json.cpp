#include "grpo/io/json.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/io/file_kind.h"

namespace grpo::io {
namespace {

constexpr auto kReplaceInvalidUtf8 = nlohmann::json::error_handler_t::replace;

bool is_blank(const std::string& line) { return line.find_first_not_of(" \t\r\n") == std::string::npos; }

// What the bytes are where they tell, else what the parser says (which quotes them, be they text or not).
std::string why(std::string_view text, const nlohmann::json::exception& error) {
  const std::string hint = kind_hint(text);
  return hint.empty() ? std::string(": ") + error.what() : hint;
}

}  // namespace

nlohmann::json read_json(const std::filesystem::path& path) {
  const std::string text = read_maybe_compressed(path);
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    throw base::IoError(path.string() + ": not valid JSON" + why(text, error));
  }
}

void write_json(const std::filesystem::path& path, const nlohmann::json& value, int indent) {
  write_file_atomic(path, value.dump(indent, ' ', false, kReplaceInvalidUtf8) + "\n");
}

struct JsonlReader::State {
  std::string path;
  std::ifstream file;
  std::istringstream decompressed;
  std::istream* in = nullptr;
  int64_t line = 0;
  std::string text;  // of that line
};

JsonlReader::JsonlReader(const std::string& path) : state_(std::make_unique<State>()) {
  state_->path = path == "-" ? "stdin" : path;
  if (path == "-") {
    state_->in = &std::cin;
    return;
  }
  if (std::filesystem::is_directory(path)) throw base::IoError(path + ": is a folder, expected a JSONL file");
  if (is_compressed(path)) {
    state_->decompressed.str(read_maybe_compressed(path));
    state_->in = &state_->decompressed;
    return;
  }
  state_->file.open(path, std::ios::binary);
  if (!state_->file) throw base::IoError(path + ": cannot open: " + std::strerror(errno));
  state_->in = &state_->file;
}

JsonlReader::~JsonlReader() = default;

bool JsonlReader::next(nlohmann::json& value) {
  std::string& text = state_->text;
  while (std::getline(*state_->in, text)) {
    ++state_->line;
    if (is_blank(text)) continue;
    try {
      value = nlohmann::json::parse(text);
    } catch (const nlohmann::json::exception& error) {
      throw base::IoError(base::concat(state_->path, ":", state_->line, ": not valid JSON", why(state_->line == 1 ? text : "", error)));
    }
    if (!value.is_object()) {
      throw base::IoError(base::concat(state_->path, ":", state_->line, ": expected one JSON object a line"));
    }
    return true;
  }
  if (state_->in->bad()) throw base::IoError(state_->path + ": cannot read");
  return false;
}

int64_t JsonlReader::line() const { return state_->line; }
const std::string& JsonlReader::text() const { return state_->text; }
const std::string& JsonlReader::path() const { return state_->path; }

struct JsonlWriter::State {
  std::string path;
  std::ofstream file;
  std::ostream* out = nullptr;
};

JsonlWriter::JsonlWriter(const std::string& path, Mode mode) : state_(std::make_unique<State>()) {
  state_->path = path == "-" ? "stdout" : path;
  if (path == "-") {
    state_->out = &std::cout;
    return;
  }
  state_->file.open(path, std::ios::binary | (mode == Mode::kAppend ? std::ios::app : std::ios::trunc));
  if (!state_->file) throw base::IoError(path + ": cannot open for writing: " + std::strerror(errno));
  state_->out = &state_->file;
}

JsonlWriter::~JsonlWriter() = default;

void JsonlWriter::write(const nlohmann::json& value) { write_line(value.dump(-1, ' ', false, kReplaceInvalidUtf8)); }
void JsonlWriter::write(const nlohmann::ordered_json& value) {
  write_line(value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

void JsonlWriter::write_line(const std::string& line) {
  errno = 0;
  *state_->out << line << '\n' << std::flush;
  if (!*state_->out) {
    throw base::IoError(state_->path + ": cannot write: " + (errno != 0 ? std::strerror(errno) : "stream closed"));
  }
}

}  // namespace grpo::io
