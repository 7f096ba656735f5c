// Reads Parquet by Apache Arrow C++. No other source includes Arrow.
#include <arrow/array.h>
#include <arrow/io/file.h>
#include <arrow/record_batch.h>
#include <arrow/scalar.h>
#include <arrow/util/float16.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "data/rows.h"
#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/io/file_kind.h"

namespace grpo::data {
namespace {

using nlohmann::json;

void check(const arrow::Status& status, const std::string& file) {
  if (!status.ok())
    throw base::IoError(file + ": cannot read as Parquet: " + status.ToString() + io::kind_hint_of(file));
}

template <typename T>
T value_or_throw(arrow::Result<T> result, const std::string& file) {
  check(result.status(), file);
  return std::move(result).ValueUnsafe();
}

json to_json(const arrow::Array& array, int64_t i);

template <typename List>
json list_to_json(const List& list, int64_t i) {
  auto values = json::array();
  const int64_t begin = list.value_offset(i);
  for (int64_t k = begin; k < begin + list.value_length(i); ++k) values.push_back(to_json(*list.values(), k));
  return values;
}

json struct_to_json(const arrow::StructArray& array, int64_t i) {
  auto object = json::object();
  for (int k = 0; k < array.num_fields(); ++k) object[array.type()->field(k)->name()] = to_json(*array.field(k), i);
  return object;
}

template <typename Array>
json get(const arrow::Array& array, int64_t i) {
  const auto value = static_cast<const Array&>(array).GetView(i);
  if constexpr (std::is_convertible_v<decltype(value), std::string_view>) {
    return std::string(value);
  } else {
    return value;
  }
}

// JSON has neither NaN nor infinities. In a column of numbers they mean that a value is missing, so they become null.
json number_or_null(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

// The shortest decimal number that rounds to this float, which is what the writer meant: a float 0.1 converted to
// double would print as 0.10000000149.
json float_to_json(float value) {
  if (!std::isfinite(value)) return nullptr;
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  double shortest = 0.0;
  std::from_chars(text, end, shortest);
  return shortest;
}

// Like float_to_json for 16 bits, where five significant digits always suffice.
json half_to_json(uint16_t bits) {
  const auto value = arrow::util::Float16::FromBits(bits);
  if (!std::isfinite(value.ToDouble())) return nullptr;
  for (int digits = 1; digits < 5; ++digits) {
    char text[32];
    std::snprintf(text, sizeof text, "%.*g", digits, value.ToDouble());
    const double candidate = std::strtod(text, nullptr);
    if (arrow::util::Float16::FromDouble(candidate) == value) return candidate;
  }
  return value.ToDouble();
}

// Element i as JSON. Types that JSON lacks (decimals, times) become the text that Arrow prints.
json to_json(const arrow::Array& array, int64_t i) {
  if (array.IsNull(i)) return nullptr;
  switch (array.type_id()) {
    case arrow::Type::BOOL:
      return get<arrow::BooleanArray>(array, i);
    case arrow::Type::INT8:
      return get<arrow::Int8Array>(array, i);
    case arrow::Type::INT16:
      return get<arrow::Int16Array>(array, i);
    case arrow::Type::INT32:
      return get<arrow::Int32Array>(array, i);
    case arrow::Type::INT64:
      return get<arrow::Int64Array>(array, i);
    case arrow::Type::UINT8:
      return get<arrow::UInt8Array>(array, i);
    case arrow::Type::UINT16:
      return get<arrow::UInt16Array>(array, i);
    case arrow::Type::UINT32:
      return get<arrow::UInt32Array>(array, i);
    case arrow::Type::UINT64:
      return get<arrow::UInt64Array>(array, i);
    case arrow::Type::HALF_FLOAT:
      return half_to_json(static_cast<const arrow::HalfFloatArray&>(array).Value(i));
    case arrow::Type::FLOAT:
      return float_to_json(static_cast<const arrow::FloatArray&>(array).Value(i));
    case arrow::Type::DOUBLE:
      return number_or_null(static_cast<const arrow::DoubleArray&>(array).Value(i));
    case arrow::Type::STRING:
      return get<arrow::StringArray>(array, i);
    case arrow::Type::LARGE_STRING:
      return get<arrow::LargeStringArray>(array, i);
    case arrow::Type::STRING_VIEW:
      return get<arrow::StringViewArray>(array, i);
    case arrow::Type::LIST:
      return list_to_json(static_cast<const arrow::ListArray&>(array), i);
    case arrow::Type::LARGE_LIST:
      return list_to_json(static_cast<const arrow::LargeListArray&>(array), i);
    case arrow::Type::FIXED_SIZE_LIST:
      return list_to_json(static_cast<const arrow::FixedSizeListArray&>(array), i);
    case arrow::Type::STRUCT:
      return struct_to_json(static_cast<const arrow::StructArray&>(array), i);
    case arrow::Type::DICTIONARY: {
      const auto& encoded = static_cast<const arrow::DictionaryArray&>(array);
      return to_json(*encoded.dictionary(), encoded.GetValueIndex(i));
    }
    default: {
      const auto scalar = array.GetScalar(i);
      return scalar.ok() ? json((*scalar)->ToString()) : json(nullptr);
    }
  }
}

// The column that holds a dotted key: the column of that very name, else the column named like the key's first part.
std::string column_of(const std::string& key, const std::vector<std::string>& columns, const std::string& file) {
  const std::string head = key.substr(0, key.find('.'));
  for (const auto& name : {key, head}) {
    if (std::find(columns.begin(), columns.end(), name) != columns.end()) return name;
  }
  throw base::IoError(file + ": no column " + head + base::did_you_mean(head, columns));
}

class ParquetRows : public RowSource {
 public:
  ParquetRows(const std::string& file, const std::vector<std::string>& keys) : file_(file) {
    auto input = value_or_throw(arrow::io::ReadableFile::Open(file), file);
    reader_ = value_or_throw(parquet::arrow::OpenFile(input, arrow::default_memory_pool()), file);
    std::vector<int> row_groups(static_cast<size_t>(reader_->num_row_groups()));
    for (size_t i = 0; i < row_groups.size(); ++i) row_groups[i] = static_cast<int>(i);
    batches_ = value_or_throw(reader_->GetRecordBatchReader(row_groups, leaves_of(keys)), file);
  }

  bool next(json& row) override {
    while (!batch_ || next_in_batch_ == batch_->num_rows()) {
      check(batches_->ReadNext(&batch_), file_);
      if (!batch_) return false;
      next_in_batch_ = 0;
    }
    row = json::object();
    for (int k = 0; k < batch_->num_columns(); ++k)
      row[batch_->column_name(k)] = to_json(*batch_->column(k), next_in_batch_);
    ++next_in_batch_;
    ++num_read_;
    require_utf8(row, place());
    current_ = row;
    return true;
  }
  std::string place() const override { return base::concat(file_, ": row ", num_read_ - 1); }
  json with_number_texts() const override { return current_; }  // Parquet numbers are binary, without a text

 private:
  // Indices of the primitive columns that belong to the columns of `keys` or to `id`; of
  // all columns if there are no keys.
  std::vector<int> leaves_of(const std::vector<std::string>& keys) const {
    const auto* schema = reader_->parquet_reader()->metadata()->schema();
    std::vector<std::string> columns;
    for (int i = 0; i < schema->group_node()->field_count(); ++i)
      columns.push_back(schema->group_node()->field(i)->name());
    refuse_repeated_columns(columns, file_);
    std::vector<std::string> wanted = keys.empty() ? columns : std::vector<std::string>{"id"};
    for (const auto& key : keys) wanted.push_back(column_of(key, columns, file_));
    std::vector<int> leaves;
    for (int i = 0; i < schema->num_columns(); ++i) {
      const std::string& root = schema->GetColumnRoot(i)->name();
      if (keys.empty() || std::find(wanted.begin(), wanted.end(), root) != wanted.end()) leaves.push_back(i);
    }
    return leaves;
  }

  std::string file_;
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  std::shared_ptr<arrow::RecordBatchReader> batches_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  json current_;
  int64_t next_in_batch_ = 0;
  int64_t num_read_ = 0;
};

}  // namespace

std::unique_ptr<RowSource> open_parquet(const std::string& file, const std::vector<std::string>& keys) {
  try {
    return std::make_unique<ParquetRows>(file, keys);
  } catch (const parquet::ParquetException& error) {
    throw base::IoError(file + ": cannot read as Parquet: " + error.what() + io::kind_hint_of(file));
  }
}

}  // namespace grpo::data
