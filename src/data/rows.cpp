#include "data/rows.h"

#include <filesystem>

#include "data/number_texts.h"
#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/io/json.h"

namespace grpo::data {
namespace {

using nlohmann::json;

class JsonlRows : public RowSource {
 public:
  explicit JsonlRows(const std::string& file) : reader_(file) {}
  bool next(json& row) override { return reader_.next(row); }
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
    if (!row.is_object()) throw base::IoError(place() + ": expected an object, found " + row.type_name());
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
  mutable json exact_;  // the whole file again, once somebody asks
  size_t next_ = 0;
};

}  // namespace

std::unique_ptr<RowSource> open_rows(const std::string& file, const std::vector<std::string>& keys) {
  const std::string ending = std::filesystem::path(file).extension().string();
  if (file == "-" || ending == ".jsonl") return std::make_unique<JsonlRows>(file);
  if (ending == ".json") return std::make_unique<JsonArrayRows>(file);
  if (ending == ".parquet") return open_parquet(file, keys);
  throw base::IoError(file + ": unknown ending; problem files end in .jsonl, .json or .parquet");
}

}  // namespace grpo::data
