#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace grpo::io {

enum class DType { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool };
size_t dtype_size(DType dtype);       // bytes
std::string dtype_name(DType dtype);  // as in the file: "F32", "BF16", ...

/// One tensor as bytes (row-major, little-endian) that somebody else owns.
struct TensorBytes {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

/// One or more mapped .safetensors files as one set of tensors. Views stay valid as long as the object lives.
class Safetensors {
 public:
  /// path: a .safetensors file, a `*.index.json`, or a folder holding model.safetensors(.index.json).
  /// Throws base::IoError: what is missing, overlapping, truncated or of unknown dtype, and in which file.
  static Safetensors open(const std::filesystem::path& path);
  Safetensors(Safetensors&&) noexcept;
  Safetensors& operator=(Safetensors&&) noexcept;
  ~Safetensors();

  bool contains(const std::string& name) const;
  /// Throws base::IoError naming the file and the nearest name when absent.
  const TensorBytes& at(const std::string& name) const;
  const std::map<std::string, TensorBytes>& tensors() const;

 private:
  Safetensors();
  struct State;
  std::unique_ptr<State> state_;
};

/// Writes a .safetensors file atomically, with the metadata {"format": "pt"} that transformers writes. Data begins at a
/// multiple of 8 bytes; wide dtypes are stored before narrow ones, else in the order given (as the safetensors library
/// does), so that every tensor is aligned to its element size. Bytes are read while writing, one tensor at a time.
/// REQUIRES: names differ, and each shape fits its bytes.
void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, TensorBytes>>& tensors);

}  // namespace grpo::io
