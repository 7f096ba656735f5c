#include "grpo/io/file_kind.h"

#include <array>
#include <fstream>

namespace grpo::io {
namespace {

struct Kind {
  std::string_view begin;
  const char* hint;
};

using namespace std::string_view_literals;

constexpr std::array<Kind, 18> kKinds = {{
    {"version https://git-lfs"sv,
     "a Git LFS pointer and not the file itself: run `git lfs pull` where it was cloned, or download it"},
    {"\xFF\xFE"sv,
     "UTF-16 text: save it as UTF-8 (PowerShell: Out-File -Encoding utf8; elsewhere iconv -f UTF-16 -t UTF-8)"},
    {"\xFE\xFF"sv, "UTF-16 text: save it as UTF-8 (iconv -f UTF-16 -t UTF-8)"},
    {"{\0"sv, "UTF-16 text without a byte order mark: save it as UTF-8 (iconv -f UTF-16LE -t UTF-8)"},
    {"\0{"sv, "UTF-16 text without a byte order mark: save it as UTF-8 (iconv -f UTF-16BE -t UTF-8)"},
    {"\x1F\x8B"sv, "compressed with gzip: let its name end in .gz"},
    {"\x28\xB5\x2F\xFD"sv, "compressed with zstd: let its name end in .zst"},
    {"\xFD"
     "7zXZ"sv,
     "compressed with xz: let its name end in .xz"},
    {"BZh"sv, "compressed with bzip2, which is not read: decompress it"},
    {"PAR1"sv, "a Parquet file: let its name end in .parquet"},
    {"ARROW1"sv,
     "an Arrow file, as datasets.save_to_disk writes: save it as Parquet (to_parquet) or JSON lines (to_json)"},
    {"PK\x03\x04"sv, "a ZIP archive, or weights saved by torch.save: unpack it, or save the weights as safetensors"},
    {"<!DOCTYPE"sv, "a web page, so the download failed: see what it says, and download the file itself"},
    {"<!doctype"sv, "a web page, so the download failed: see what it says, and download the file itself"},
    {"<html"sv, "a web page, so the download failed: see what it says, and download the file itself"},
    {"\x80\x02"sv, "a Python pickle, which is not read: save it as JSON lines, or weights as safetensors"},
    {"\x80\x04"sv, "a Python pickle, which is not read: save it as JSON lines, or weights as safetensors"},
    {"\x80\x05"sv, "a Python pickle, which is not read: save it as JSON lines, or weights as safetensors"},
}};

}  // namespace

std::string kind_hint(std::string_view first_bytes) {
  for (const Kind& kind : kKinds) {
    if (first_bytes.starts_with(kind.begin)) return std::string("; it is ") + kind.hint;
  }
  return "";
}

std::string kind_hint_of(const std::filesystem::path& path) {
  std::array<char, 64> bytes{};
  std::ifstream file(path, std::ios::binary);
  file.read(bytes.data(), bytes.size());
  return kind_hint({bytes.data(), static_cast<size_t>(file.gcount())});
}

bool is_compressed(const std::filesystem::path& path) {
  const auto ending = path.extension();
  return ending == ".gz" || ending == ".zst" || ending == ".xz";
}

std::filesystem::path without_compression(const std::filesystem::path& path) {
  return is_compressed(path) ? std::filesystem::path(path).replace_extension() : path;
}

}  // namespace grpo::io
