#include "grpo/io/json.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <type_traits>
#include <utility>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/io/file_kind.h"
#include "grpo/io/json_errors.h"
#include "grpo/io/output_file.h"
#include "grpo/io/parse_json.h"
#include "io/descriptor.h"

namespace grpo::io {
namespace {

constexpr auto kReplaceInvalidUtf8 = nlohmann::json::error_handler_t::replace;

bool is_blank(const std::string& line) { return line.find_first_not_of(" \t\r\n") == std::string::npos; }

template <typename Json>
Json parse(std::string_view text, const std::string& where,
           const nlohmann::json::parser_callback_t& callback = nullptr) {
  check_json_depth(text, where);
  try {
    if constexpr (std::is_same_v<Json, nlohmann::json>) return Json::parse(text, callback);
    return Json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    // Where the first bytes show another format, say which. Only otherwise repeat the parser's message, which quotes
    // the bytes even if they are not text.
    const std::string hint = kind_hint(text);
    throw base::IoError(where + ": not valid JSON" + (hint.empty() ? std::string(": ") + error.what() : hint));
  }
}

// A parser callback that hands out each member as soon as it is parsed and then drops it.
class Members {
 public:
  using Event = nlohmann::json::parse_event_t;
  using Take = std::function<void(const std::string&, const nlohmann::json&)>;

  Members(const std::string& where, const MemberLimits& limits, const Take& take)
      : where_(where), limits_(limits), take_(take) {}

  bool operator()(int depth, Event event, nlohmann::json& parsed) {
    if (depth == 0) return begin_or_end(event);
    if (depth == 1 && event == Event::key) return begin_member(parsed.get<std::string>());
    if (!skipped_ && ++values_ > limits_.max_values) {
      throw base::IoError(base::concat(where_, ": ", name_, " has more than ", limits_.max_values, " values"));
    }
    if (depth > 1 || event == Event::object_start || event == Event::array_start) return !skipped_;
    if (!skipped_) take_(name_, parsed);
    return false;
  }

 private:
  bool begin_or_end(Event event) const {
    if (event != Event::object_start && event != Event::object_end)
      throw base::IoError(where_ + " is not a JSON object");
    return true;
  }
  bool begin_member(std::string name) {
    name_ = std::move(name);
    values_ = 0;
    skipped_ = limits_.skips && limits_.skips(name_);
    return true;
  }

  const std::string& where_;
  const MemberLimits& limits_;
  const Take& take_;
  std::string name_;
  size_t values_ = 0;
  bool skipped_ = false;
};

}  // namespace

// Brackets may be miscounted in a malformed text, but the parser refuses such a text anyway.
size_t json_depth(std::string_view text) {
  size_t depth = 0;
  size_t deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

void check_json_depth(std::string_view text, const std::string& where) {
  const size_t depth = json_depth(text);
  if (depth > kMaxJsonDepth)
    throw base::IoError(base::concat(where, ": JSON nested ", depth, " deep, more than ", kMaxJsonDepth));
}

void for_each_json_member(std::string_view text, const std::string& where, const MemberLimits& limits,
                          const std::function<void(const std::string& name, const nlohmann::json& value)>& take) {
  Members members(where, limits, take);
  parse<nlohmann::json>(text, where, [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    return members(depth, event, parsed);
  });
}

nlohmann::json parse_json(std::string_view text, const std::string& where) {
  return parse<nlohmann::json>(text, where);
}
nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& where) {
  return parse<nlohmann::ordered_json>(text, where);
}

std::string message_of(const nlohmann::json::exception& error) {
  const std::string text = error.what();  // "[json.exception.out_of_range.403] key 'step' not found"
  const size_t end = text.starts_with("[json.exception.") ? text.find("] ") : std::string::npos;
  return end == std::string::npos ? text : text.substr(end + 2);
}

nlohmann::json read_json(const std::filesystem::path& path) {
  return parse_json(read_maybe_compressed(path), path.string());
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
  std::string text;  // the line with this number
};

JsonlReader::JsonlReader(const std::string& path) : state_(std::make_unique<State>()) {
  state_->path = path == "-" ? "stdin" : path;
  if (path == "-") {
    state_->in = &std::cin;
    return;
  }
  if (std::filesystem::is_directory(path)) throw base::IoError(path + ": is a folder, expected a JSONL file");
  if (is_compressed(path)) {
    state_->decompressed = std::istringstream(read_maybe_compressed(path));
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
    value = parse_json(text, base::concat(state_->path, ":", state_->line));
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

// Without a file, lines go to stdout.
struct JsonlWriter::State {
  std::unique_ptr<OutputFile> file;
};

JsonlWriter::JsonlWriter(const std::string& path, Mode mode) : state_(std::make_unique<State>()) {
  if (path == "-") return;
  state_->file = std::make_unique<OutputFile>(
      path, mode == Mode::kAppend ? OutputFile::Mode::kAppend : OutputFile::Mode::kTruncate);
}

JsonlWriter::~JsonlWriter() = default;

void JsonlWriter::write(const nlohmann::json& value) { write_line(value.dump(-1, ' ', false, kReplaceInvalidUtf8)); }
void JsonlWriter::write(const nlohmann::ordered_json& value) {
  write_line(value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

void JsonlWriter::write_line(const std::string& line) {
  if (state_->file) {
    state_->file->write(line + "\n");
  } else {
    write_all(STDOUT_FILENO, line + "\n", "stdout");
  }
}

}  // namespace grpo::io
