#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "grpo/data/dataset.h"

namespace grpo::data {

/// A key that occurs in rows of a file.
struct SeenField {
  std::string name;                // dotted for nested objects
  int64_t rows = 0;                // number of rows with this key
  std::vector<std::string> kinds;  // "text", "number", "true or false", "list", "chat", "object", "null": by appearance
};

/// What a problem file holds.
struct SeenFile {
  std::string file;
  int64_t rows = 0;
  std::vector<SeenField> fields;
  std::string prompt_key, answer_key;    // as given, else guessed from the names of the keys; empty if no name fits
  std::string chosen_key, rejected_key;  // of pairs, as algorithm.method: dpo reads them; empty if it holds problems
  // Empty without a prompt_key, which pairs need not have; without an answer_key the answers are missing.
  std::vector<Problem> problems;
  std::vector<std::string> bad;  // why each row that is not a problem cannot be used, with its place
};

/// Reads a whole file. An empty prompt_key or answer_key is guessed; rows with "chosen" and "rejected" and without both
/// a problem and an answer are pairs. Throws base::IoError if the file itself cannot be read.
SeenFile inspect_file(const std::string& file, const std::string& prompt_key, const std::string& answer_key);

}  // namespace grpo::data
