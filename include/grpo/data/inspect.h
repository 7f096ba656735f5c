#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "grpo/data/dataset.h"

namespace grpo::data {

/// A key that rows of a file have.
struct SeenField {
  std::string name;                // dotted below objects
  int64_t rows = 0;                // that have it
  std::vector<std::string> kinds;  // "text", "number", "true or false", "list", "chat", "null": in order of appearance
};

/// What a problem file holds.
struct SeenFile {
  std::string file;
  int64_t rows = 0;
  std::vector<SeenField> fields;
  std::string prompt_key, answer_key;    // as asked for, else guessed by their names; empty: none looks like it
  std::string chosen_key, rejected_key;  // of pairs, as algorithm.method: dpo reads them; empty: it holds problems
  std::vector<Problem> problems;  // none without a prompt_key, which pairs need not have; without an answer_key their
                                  // answers are missing
  std::vector<std::string> bad;   // what is wrong with each row that is no problem, with its place
};

/// Reads a whole file. prompt_key, answer_key: empty to have them guessed; rows with "chosen" and "rejected" and
/// without both a problem and an answer are pairs. Throws base::IoError where the file itself cannot be read.
SeenFile inspect_file(const std::string& file, const std::string& prompt_key, const std::string& answer_key);

}  // namespace grpo::data
