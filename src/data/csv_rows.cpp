#include "data/csv_rows.h"

#include <csv.h>

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/io/file_kind.h"

namespace grpo::data {
namespace {

using nlohmann::json;
using Row = std::vector<std::string>;

struct Parsed {
  std::vector<Row> rows;
  Row row;
};

void end_value(void* value, size_t size, void* parsed) {
  static_cast<Parsed*>(parsed)->row.emplace_back(static_cast<const char*>(value), size);
}

void end_row(int, void* parsed) {
  auto& [rows, row] = *static_cast<Parsed*>(parsed);
  rows.push_back(std::exchange(row, {}));
}

// Without this the library drops spaces at the ends of values that have no quotes.
int is_no_space(unsigned char) { return 0; }

std::string_view without_byte_order_mark(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  return text;
}

std::vector<Row> parse_csv(const std::string& file) {
  const std::string bytes = io::read_maybe_compressed(file);
  const auto text = without_byte_order_mark(bytes);
  csv_parser parser;
  if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI) != 0) throw base::IoError(file + ": cannot start the CSV parser");
  csv_set_space_func(&parser, is_no_space);
  Parsed parsed;
  const bool whole = csv_parse(&parser, text.data(), text.size(), end_value, end_row, &parsed) == text.size() &&
                     csv_fini(&parser, end_value, end_row, &parsed) == 0;
  const std::string problem = whole ? "" : csv_strerror(csv_error(&parser));
  csv_free(&parser);
  if (!whole)
    throw base::IoError(
        base::concat(file, ": not valid CSV behind row ", parsed.rows.size(), ": ", problem, io::kind_hint(bytes)));
  return std::move(parsed.rows);
}

class CsvRows : public RowSource {
 public:
  explicit CsvRows(const std::string& file) : file_(file), rows_(parse_csv(file)) {
    if (rows_.empty()) throw base::IoError(file + ": is empty; expected a line with the names of the columns");
    refuse_repeated_columns(rows_.front(), file);
  }

  bool next(json& row) override {
    if (next_ == rows_.size()) return false;
    const Row& values = rows_[next_++];
    const Row& names = rows_.front();
    if (values.size() != names.size()) {
      throw BadRow(
          base::concat(place(), ": has ", values.size(), " values, the first line names ", names.size(), " columns"));
    }
    row = json::object();
    for (size_t i = 0; i < names.size(); ++i) row[names[i]] = values[i];
    require_utf8(row, place());
    current_ = row;
    return true;
  }
  std::string place() const override { return base::concat(file_, ": row ", static_cast<int64_t>(next_) - 2); }
  json with_number_texts() const override { return current_; }

 private:
  std::string file_;
  std::vector<Row> rows_;  // rows_.front() holds the names of the columns
  json current_;
  size_t next_ = 1;
};

}  // namespace

std::unique_ptr<RowSource> open_csv(const std::string& file) { return std::make_unique<CsvRows>(file); }

}  // namespace grpo::data
