#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "grpo/base/fields.h"

// Reads a YAML file and `key=value` overrides into plain structs through the field lists of base/fields.h, and writes
// them back. Every function that takes Fields works on the live struct from which the fields were taken.

namespace grpo::config {

struct Source {
  std::filesystem::path file;  // empty: only defaults and overrides
  // Examples: "optimizer.lr=1e-6", "data.train=[a.jsonl, b.jsonl]", "reward.terms.0.weight=2".
  std::vector<std::string> overrides;
};

struct LoadedConfig {
  std::vector<std::filesystem::path> files;  // the files that were read: `file`, its base, the base's base, ...
  std::filesystem::path folder;              // the folder of Source::file, for resolve_path(); empty without a file
};

/// Reads `source` into the struct behind `root`: first the deepest `base:`, then each file above it, then the overrides
/// in order. Keys that are not mentioned keep their values. Sections are merged key by key; lists and mappings of texts
/// are replaced as a whole. A `base:` is relative to the folder of the file that names it.
/// Integers may be written as 512 or 1e3; booleans are true or false; null or ~ is only for optional values, `auto`
/// only for values that may be left to the program; quoted scalars are texts.
/// Throws base::ConfigError at the first problem: a file that is missing or not YAML, a cycle of bases, a key that is
/// unknown or given twice, a value of the wrong type or out of range. The message is "FILE:LINE: section.key: ...", for
/// overrides "command line: section.key: ...". The struct then holds what was read before the problem.
LoadedConfig load(const base::Fields& root, const Source& source);

/// Reads `text` into one field. `name` is how messages call the field, such as "--top-p". Values are written as in a
/// file, except that a text is taken literally even if it has a meaning in YAML. Throws base::ConfigError.
void read_field(const base::Field& field, const std::string& name, const std::string& text);

/// For a command's help: the kind of a field's value, such as "number" or "auto|cpu|cuda", and its current value.
/// REQUIRES: the field is not a section.
std::string kind_text(const base::Field& field);
std::string value_text(const base::Field& field);

/// Looks for `name` itself, then in configs/, then in the configs of an installed program, each also with ".yaml"
/// appended. Throws base::ConfigError listing the places and the most similar file of configs/.
std::filesystem::path find_config(const std::string& name);

/// Resolves a path of a configuration, where ~/ is the home folder. A relative path is taken from the current directory
/// if it exists there, else from `config_folder` if it exists there. Otherwise it is returned unchanged, and whoever
/// opens it reports that it is missing.
std::filesystem::path resolve_path(const std::string& text, const std::filesystem::path& config_folder);

/// Every key and value as YAML, in the order of the field lists. Loading the text gives the same values bit for bit.
/// REQUIRES: no number is infinite or NaN (a value that may be absent is a std::optional).
std::string to_yaml(const base::Fields& root);

/// A table of every key for a terminal: type, default (the current value), allowed values, meaning. A list of sections
/// is shown by one element with default values, which is appended while this function runs.
std::string help_text(const base::Fields& root);

/// The table of help_text as Markdown, with one table per section, as in docs/config.md.
std::string to_markdown(const base::Fields& root);

struct Difference {
  std::string key;  // dotted
  std::string a;    // as written in YAML; "(absent)" for an element of a list that the other struct has alone
  std::string b;
  bool operator==(const Difference&) const = default;
};

/// The keys whose values differ between two structs of the same type, in the order of the field lists.
std::vector<Difference> differences(const base::Fields& a, const base::Fields& b);

}  // namespace grpo::config
