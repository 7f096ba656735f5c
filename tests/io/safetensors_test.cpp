#include "grpo/io/safetensors.h"

#include <gmock/gmock.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/io/json.h"
#include "support/golden.h"

namespace grpo::io {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

template <typename T>
TensorBytes view(DType dtype, std::vector<int64_t> shape, const std::vector<T>& values) {
  return {.dtype = dtype, .shape = std::move(shape), .bytes = std::as_bytes(std::span(values))};
}

bool same(const TensorBytes& a, const TensorBytes& b) {
  return a.dtype == b.dtype && a.shape == b.shape && a.bytes.size() == b.bytes.size() &&
         (a.bytes.empty() || std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0);
}

void expect_same(const Safetensors& a, const Safetensors& b) {
  ASSERT_EQ(a.tensors().size(), b.tensors().size());
  for (const auto& [name, tensor] : a.tensors()) EXPECT_TRUE(same(tensor, b.at(name))) << name;
}

std::vector<std::pair<std::string, TensorBytes>> entries_of(const Safetensors& file) {
  return {file.tensors().begin(), file.tensors().end()};
}

std::vector<fs::path> safetensors_files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  return files;
}

TEST(Safetensors, EveryDtypeSurvivesTheRoundTrip) {
  const testing::TempDir dir;
  std::vector<std::vector<uint8_t>> storage;
  std::vector<std::pair<std::string, TensorBytes>> tensors;
  for (const DType dtype : {DType::kBool, DType::kU8, DType::kI8, DType::kI16, DType::kBF16, DType::kF16, DType::kI32,
                            DType::kF32, DType::kI64, DType::kF64}) {
    std::vector<uint8_t> bytes(3 * dtype_size(dtype));
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(37 * i + storage.size());
    storage.push_back(std::move(bytes));
    tensors.emplace_back(dtype_name(dtype), view(dtype, {3, 1}, storage.back()));
  }
  const std::vector<float> scalar = {1.5F};
  tensors.emplace_back("scalar", view(DType::kF32, {}, scalar));
  tensors.emplace_back("empty", view(DType::kF32, {0, 4}, std::vector<float>{}));

  write_safetensors(dir.path() / "a.safetensors", tensors);
  const auto file = Safetensors::open(dir.path() / "a.safetensors");
  ASSERT_EQ(file.tensors().size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    EXPECT_TRUE(same(file.at(name), tensor)) << name;
    const auto address = reinterpret_cast<uintptr_t>(file.at(name).bytes.data());
    EXPECT_EQ(address % dtype_size(tensor.dtype), 0U) << name << " is not aligned";
  }
}

TEST(Safetensors, HeaderIsWhatOtherReadersExpect) {
  const testing::TempDir dir;
  const std::vector<float> values = {1, 2};
  write_safetensors(dir.path() / "a.safetensors", {{"w", view(DType::kF32, {2}, values)}});
  const std::string bytes = read_file(dir.path() / "a.safetensors");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  EXPECT_EQ(length % 8, 0U);
  EXPECT_EQ(bytes.size(), 8 + length + 8);
  const auto header = nlohmann::json::parse(bytes.substr(8, length));
  EXPECT_EQ(header["__metadata__"]["format"], "pt");
  EXPECT_EQ(header["w"], (nlohmann::json{{"dtype", "F32"}, {"shape", {2}}, {"data_offsets", {0, 8}}}));
}

TEST(Safetensors, ReportsTheNearestNameOfAnAbsentTensor) {
  const testing::TempDir dir;
  const std::vector<float> values = {1, 2};
  const fs::path path = dir.path() / "a.safetensors";
  write_safetensors(path, {{"model.norm.weight", view(DType::kF32, {2}, values)}});
  const auto file = Safetensors::open(path);
  EXPECT_TRUE(file.contains("model.norm.weight"));
  EXPECT_FALSE(file.contains("model.norm.weihgt"));
  try {
    file.at("model.norm.weihgt");
    FAIL() << "no error";
  } catch (const base::IoError& error) {
    EXPECT_THAT(error.what(), HasSubstr(path.string() + ": no tensor model.norm.weihgt"));
    EXPECT_THAT(error.what(), HasSubstr("nearest: model.norm.weight"));
  }
}

TEST(Safetensors, ViewsOutliveAMove) {
  const testing::TempDir dir;
  const std::vector<float> values = {1, 2};
  write_safetensors(dir.path() / "a.safetensors", {{"w", view(DType::kF32, {2}, values)}});
  auto file = Safetensors::open(dir.path() / "a.safetensors");
  const TensorBytes before = file.at("w");
  const Safetensors moved = std::move(file);
  EXPECT_EQ(moved.at("w").bytes.data(), before.bytes.data());
  EXPECT_TRUE(same(before, view(DType::kF32, {2}, values)));
}

TEST(WriteSafetensors, RefusesBytesThatDoNotFitTheShapeAndNamesGivenTwice) {
  const testing::TempDir dir;
  const std::vector<float> values = {1, 2};
  const auto good = view(DType::kF32, {2}, values);
  EXPECT_THROW(write_safetensors(dir.path() / "a", {{"w", view(DType::kF32, {3}, values)}}), std::logic_error);
  EXPECT_THROW(write_safetensors(dir.path() / "a", {{"w", good}, {"w", good}}), std::logic_error);
  EXPECT_TRUE(fs::is_empty(dir.path()));
}

// Every golden file: read, written again as one file, read again: all tensors equal, byte by byte.
TEST(GoldenSafetensors, EveryFileSurvivesTheRoundTrip) {
  const testing::TempDir dir;
  const auto files = safetensors_files_below(testing::golden_section("models"));
  ASSERT_FALSE(files.empty());
  for (const auto& path : files) {
    SCOPED_TRACE(path.string());
    const auto original = Safetensors::open(path);
    ASSERT_FALSE(original.tensors().empty());
    write_safetensors(dir.path() / "copy.safetensors", entries_of(original));
    expect_same(original, Safetensors::open(dir.path() / "copy.safetensors"));
  }
}

// Folders open as the set of all their shards; the index and its shards give the same tensors.
TEST(GoldenSafetensors, FoldersOpenAsOneSet) {
  for (const auto& folder : testing::golden_folders("models")) {
    SCOPED_TRACE(folder.string());
    const auto whole = Safetensors::open(folder);
    size_t in_shards = 0;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name.rfind("model", 0) != 0 || entry.path().extension() != ".safetensors") continue;
      const auto shard = Safetensors::open(entry.path());
      for (const auto& [tensor_name, tensor] : shard.tensors())
        EXPECT_TRUE(same(tensor, whole.at(tensor_name))) << tensor_name;
      in_shards += shard.tensors().size();
    }
    EXPECT_EQ(whole.tensors().size(), in_shards);
    EXPECT_GT(in_shards, 0U);
  }
}

}  // namespace
}  // namespace grpo::io
