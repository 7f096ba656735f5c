#include "io/safetensors_header.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/io/file_kind.h"
#include "grpo/io/parse_json.h"

namespace grpo::io {
namespace fs = std::filesystem;
namespace {

struct DTypeRow {
  DType dtype;
  const char* name;
  size_t size;
};
constexpr std::array<DTypeRow, 10> kDTypes = {{{DType::kF64, "F64", 8},
                                               {DType::kF32, "F32", 4},
                                               {DType::kF16, "F16", 2},
                                               {DType::kBF16, "BF16", 2},
                                               {DType::kI64, "I64", 8},
                                               {DType::kI32, "I32", 4},
                                               {DType::kI16, "I16", 2},
                                               {DType::kI8, "I8", 1},
                                               {DType::kU8, "U8", 1},
                                               {DType::kBool, "BOOL", 1}}};

constexpr size_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the same limit as in the safetensors library

const DTypeRow& row_of(DType dtype) {
  return *std::find_if(kDTypes.begin(), kDTypes.end(), [&](const DTypeRow& row) { return row.dtype == dtype; });
}

// How every message about one tensor begins.
std::string place(const fs::path& path, const std::string& name) { return path.string() + ": tensor " + name + ": "; }

DType parse_dtype(const nlohmann::json& value, const std::string& at) {
  std::vector<std::string> known;
  for (const DTypeRow& row : kDTypes) {
    if (value == row.name) return row.dtype;
    known.emplace_back(row.name);
  }
  throw base::IoError(at + "dtype " + value.dump() + " is not supported; known: " + base::join(known, ", "));
}

std::vector<int64_t> parse_sizes(const nlohmann::json& value, const char* key, const std::string& at) {
  std::vector<int64_t> sizes;
  bool valid = value.is_array();
  for (size_t i = 0; valid && i < value.size(); ++i) {
    valid = value[i].is_number_unsigned() && value[i].get<uint64_t>() <= INT64_MAX;
    if (valid) sizes.push_back(value[i].get<int64_t>());
  }
  if (!valid) throw base::IoError(at + key + " is " + value.dump() + ", expected a list of numbers from 0");
  return sizes;
}

TensorBytes parse_tensor(const nlohmann::json& entry, std::span<const std::byte> data, const std::string& at) {
  for (const char* key : {"dtype", "shape", "data_offsets"}) {
    if (!entry.is_object() || !entry.contains(key)) throw base::IoError(at + "has no " + key);
  }
  TensorBytes tensor{
      .dtype = parse_dtype(entry["dtype"], at), .shape = parse_sizes(entry["shape"], "shape", at), .bytes = {}};
  const auto offsets = parse_sizes(entry["data_offsets"], "data_offsets", at);
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    throw base::IoError(at + "data_offsets is " + entry["data_offsets"].dump() + ", expected [begin, end]");
  }
  const auto begin = static_cast<size_t>(offsets[0]);
  const auto end = static_cast<size_t>(offsets[1]);
  if (end > data.size()) {
    throw base::IoError(base::concat(at, "ends at byte ", end, " of the data but the file has only ", data.size(),
                                     "; it is truncated, copy or download it again"));
  }
  const int64_t count = num_elements(tensor.shape);
  if (count < 0 || static_cast<size_t>(count) != (end - begin) / dtype_size(tensor.dtype) ||
      (end - begin) % dtype_size(tensor.dtype) != 0) {
    throw base::IoError(base::concat(at, "shape ", entry["shape"].dump(), " of ", dtype_name(tensor.dtype),
                                     " does not fit its ", end - begin, " bytes"));
  }
  tensor.bytes = data.subspan(begin, end - begin);
  return tensor;
}

std::string hint_of(std::span<const std::byte> file) {
  return kind_hint({reinterpret_cast<const char*>(file.data()), file.size()});
}

std::string_view header_of(std::span<const std::byte> file, const fs::path& path) {
  if (file.size() < kLengthBytes) {
    throw base::IoError(
        base::concat(path.string(), ": has ", file.size(), " bytes, too short for a safetensors file", hint_of(file)));
  }
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) length |= static_cast<uint64_t>(file[i]) << (8 * i);
  if (length > kMaxHeaderBytes || length > file.size() - kLengthBytes) {
    const std::string hint = hint_of(file);
    throw base::IoError(base::concat(path.string(), ": header length ", length, " exceeds the file (", file.size(),
                                     " bytes) or the limit ", kMaxHeaderBytes,
                                     hint.empty() ? "; not a safetensors file, or truncated" : hint));
  }
  return {reinterpret_cast<const char*>(file.data()) + kLengthBytes, length};
}

// Together the tensors must cover the data exactly once.
void check_coverage(const std::map<std::string, TensorBytes>& tensors, std::span<const std::byte> data,
                    const fs::path& path) {
  std::vector<std::pair<std::span<const std::byte>, std::string>> parts;
  for (const auto& [name, tensor] : tensors) parts.emplace_back(tensor.bytes, name);
  std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first.data(), a.first.size()) < std::pair(b.first.data(), b.first.size());
  });
  const std::byte* next = data.data();
  for (const auto& [bytes, name] : parts) {
    if (bytes.data() != next) {
      throw base::IoError(base::concat(place(path, name), "begins at byte ", bytes.data() - data.data(),
                                       " of the data, ", bytes.data() < next ? "inside another tensor" : "after a gap",
                                       " (expected ", next - data.data(), ")"));
    }
    next = bytes.data() + bytes.size();
  }
  const auto* end = data.data() + data.size();
  if (next != end) throw base::IoError(base::concat(path.string(), ": ", end - next, " bytes after the last tensor"));
}

}  // namespace

size_t dtype_size(DType dtype) { return row_of(dtype).size; }
std::string dtype_name(DType dtype) { return row_of(dtype).name; }

int64_t num_elements(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (__builtin_mul_overflow(count, size, &count)) return -1;
  }
  return count;
}

std::map<std::string, TensorBytes> parse_safetensors(std::span<const std::byte> file, const fs::path& path) {
  const std::string_view header = header_of(file, path);
  const auto data = file.subspan(kLengthBytes + header.size());
  std::map<std::string, TensorBytes> tensors;
  const MemberLimits limits{.skips = [](const std::string& name) { return name == "__metadata__"; }};
  for_each_json_member(header, path.string() + ": the safetensors header", limits,
                       [&](const std::string& name, const nlohmann::json& entry) {
                         if (!tensors.emplace(name, parse_tensor(entry, data, place(path, name))).second)
                           throw base::IoError(place(path, name) + "is there twice");
                       });
  check_coverage(tensors, data, path);
  return tensors;
}

std::string make_safetensors_header(const std::vector<const std::pair<std::string, TensorBytes>*>& tensors) {
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  size_t offset = 0;
  for (const auto* entry : tensors) {
    const auto& [name, tensor] = *entry;
    header[name] = {{"dtype", dtype_name(tensor.dtype)},
                    {"shape", tensor.shape},
                    {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string length(kLengthBytes, '\0');
  for (size_t i = 0; i < kLengthBytes; ++i) length[i] = static_cast<char>(text.size() >> (8 * i) & 0xFF);
  return length + text;
}

}  // namespace grpo::io
