#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace grpo::data {

/// The problem files that one entry of data.train stands for, in the order of their names: the files of a folder whose
/// endings are known, what a pattern with *, ? or [...] matches, else the entry itself, whether it exists or not.
/// Nothing where a pattern matches no file. Throws base::ConfigError for a folder without a problem file, and for one
/// that holds several splits (train-*, test-*): which of them is meant must be said.
std::vector<std::string> expand_files(const std::string& entry);

/// Whether the text has wildcards and is no file of that name.
bool is_pattern(const std::string& entry);

/// A data set's name: that of its file without folder and endings ("test" of a/test.jsonl.gz).
std::string name_of_set(const std::filesystem::path& file);

}  // namespace grpo::data
