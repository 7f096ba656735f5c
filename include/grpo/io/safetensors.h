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
std::string dtype_name(DType dtype);  // as in the file format: "F32", "BF16", ...

/// One tensor as bytes (row-major, little-endian). It does not own them: they live as long as the mapping or
/// tensor that they are taken from.
struct TensorBytes {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

/// One or more mapped .safetensors files as one set of tensors. A TensorBytes stays valid as long as this object lives.
class Safetensors {
 public:
  /// path: a .safetensors file, a `*.index.json`, or a folder holding model.safetensors(.index.json).
  /// Throws base::IoError that names the file and the tensor when something is missing, overlapping,
  /// truncated or of unknown dtype.
  static Safetensors open(const std::filesystem::path& path);
  Safetensors(Safetensors&&) noexcept;
  Safetensors& operator=(Safetensors&&) noexcept;
  ~Safetensors();

  bool contains(const std::string& name) const;
  /// Throws base::IoError, naming the file and the nearest known name, when there is no such tensor.
  const TensorBytes& at(const std::string& name) const;
  const std::map<std::string, TensorBytes>& tensors() const;

 private:
  Safetensors();
  struct State;
  std::unique_ptr<State> state_;
};

/// Writes a .safetensors file atomically, with the metadata {"format": "pt"} that transformers writes. As in the
/// safetensors library, wide dtypes are stored before narrow ones (tensors of equal width in the order given) and the
/// data begins at a multiple of 8 bytes, so every tensor is aligned to its element size.
/// The bytes of one tensor at a time are read while writing.
/// REQUIRES: names differ, and each shape fits its bytes.
void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, TensorBytes>>& tensors);

}  // namespace grpo::io
