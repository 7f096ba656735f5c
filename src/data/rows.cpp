#include "data/rows.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "data/csv_rows.h"
#include "data/number_texts.h"
#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/io/file.h"
#include "grpo/io/file_kind.h"
#include "grpo/io/json.h"

namespace grpo::data {
namespace {

using nlohmann::json;

class JsonlRows : public RowSource {
 public:
  explicit JsonlRows(const std::string& file) : reader_(file) {}
  bool next(json& row) override {
    const int64_t line = reader_.line();
    try {
      return reader_.next(row);
    } catch (const base::IoError& error) {
      if (reader_.line() == line) throw;  // no line was read, so the file is at fault
      throw BadRow(error.what());
    }
  }
  std::string place() const override { return base::concat(reader_.path(), ":", reader_.line()); }
  json with_number_texts() const override { return parse_with_number_texts(reader_.text()); }

 private:
  io::JsonlReader reader_;
};

class JsonArrayRows : public RowSource {
 public:
  explicit JsonArrayRows(const std::string& file) : file_(file), rows_(io::read_json(file)) {
    if (!rows_.is_array()) {
      throw base::IoError(file + ": is not a JSON array of objects; for one object a line name the file .jsonl");
    }
  }
  bool next(json& row) override {
    if (next_ == rows_.size()) return false;
    row = rows_[next_++];
    if (!row.is_object()) throw BadRow(place() + ": expected an object, found " + row.type_name());
    return true;
  }
  std::string place() const override { return base::concat(file_, ": row ", next_ - 1); }
  json with_number_texts() const override {
    if (exact_.is_null()) exact_ = parse_with_number_texts(io::read_maybe_compressed(file_));
    return exact_.at(next_ - 1);
  }

 private:
  std::string file_;
  json rows_;
  mutable json exact_;  // the whole file parsed again, when with_number_texts() is first called
  size_t next_ = 0;
};

// Whether a .json file holds one object per line, as datasets' to_json and pandas'
// to_json(lines=True) write under that name.
bool holds_json_lines(const std::string& file) {
  const std::string text = io::read_maybe_compressed(file);
  const size_t end = text.find('\n');
  const size_t next = end == std::string::npos ? end : text.find_first_not_of(" \t\r\n", end);
  if (next == std::string::npos || text[next] != '{') return false;
  return json::parse(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, /*allow_exceptions=*/false)
      .is_object();
}

std::unique_ptr<RowSource> open_json(const std::string& file) {
  if (!holds_json_lines(file)) return std::make_unique<JsonArrayRows>(file);
  base::log_info(file + ": one JSON object a line, so it is read as JSONL whatever its name");
  return std::make_unique<JsonlRows>(file);
}

std::string ending_of(const std::filesystem::path& file) { return io::without_compression(file).extension().string(); }

}  // namespace

void refuse_repeated_columns(const std::vector<std::string>& names, const std::string& file) {
  std::set<std::string> seen;
  for (const auto& name : names) {
    if (!name.empty() && !seen.insert(name).second)
      throw base::IoError(file + ": two columns are called " + name + "; rename or remove one of them");
  }
}

void require_utf8(const json& row, const std::string& place) {
  for (const auto& [key, value] : row.items()) {
    try {
      json::array({key, value}).dump();
    } catch (const json::type_error&) {
      throw BadRow(place + ": " + key + " is not UTF-8; save the file in that encoding");
    }
  }
}

bool is_known_ending(const std::filesystem::path& file) {
  const std::string ending = ending_of(file);
  return ending == ".jsonl" || ending == ".json" || ending == ".csv" ||
         (ending == ".parquet" && !io::is_compressed(file));
}

std::string known_endings() { return ".jsonl, .json and .csv, each also with .gz, .zst or .xz, and .parquet"; }

std::unique_ptr<RowSource> open_rows(const std::string& file, const std::vector<std::string>& keys) {
  if (!is_known_ending(file)) throw base::IoError(file + ": unknown ending; problem files end in " + known_endings());
  const std::string ending = ending_of(file);
  if (ending == ".jsonl") return std::make_unique<JsonlRows>(file);
  if (ending == ".json") return open_json(file);
  return ending == ".csv" ? open_csv(file) : open_parquet(file, keys);
}

}  // namespace grpo::data
