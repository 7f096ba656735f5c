#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace grpo::data {

/// The problem files that an entry of data.train stands for. For a folder: its files with known endings, in the order
/// of their names. For a pattern with *, ?, [...] or {a,b}: the files that match it, each once and in the order of
/// their names, possibly none. Otherwise the entry itself, whether it exists or not. Throws base::ConfigError for a
/// folder without a problem file, and for a folder with several splits (train-*, test-*), since the user has to say
/// which of them is meant.
std::vector<std::string> expand_files(const std::string& entry);

/// Whether the entry has wildcards and is not itself the name of a file.
bool is_pattern(const std::string& entry);

/// A data set's name, which is its file's name without folder and endings: "test" for a/test.jsonl.gz.
std::string name_of_set(const std::filesystem::path& file);

}  // namespace grpo::data
