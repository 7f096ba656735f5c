#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "data/rows.h"
#include "grpo/data/dataset.h"

namespace grpo::data {

/// A row while its file is being read.
struct FileRow {
  const std::string& file;
  int64_t number;  // number in its file, from 0
  const nlohmann::json& value;
  const RowSource& source;
};

/// Which keys of a row make up a problem.
struct ProblemKeys {
  std::string prompt;
  std::string answer;  // empty: the answers are missing
  std::vector<std::string> extra;
  bool whole_row = false;                  // keep the row as JSON text too
  std::string chosen = {}, rejected = {};  // keys of a preference (preference_row.h); empty for a problem with answers
};

/// The value of a dotted key. A key whose own name contains the dots goes before nested objects. Throws base::IoError
/// naming the place and the nearest key.
const nlohmann::json& value_at(const nlohmann::json& object, const std::string& key, const std::string& place);

/// Sets problem.prompt and problem.messages from a text or a list of chat messages.
void read_prompt(const nlohmann::json& value, const std::string& key, const std::string& place, Problem& problem);
/// Sets problem.prompt and problem.messages from a conversation, which must have a turn of the user.
void set_conversation(std::vector<Message> messages, const std::string& key, const std::string& place,
                      Problem& problem);

[[noreturn]] void wrong_type(const nlohmann::json& value, const std::string& place, const std::string& key,
                             const char* expected);

/// The keys to ask open_rows() for: all that `keys` names, or none, which means every column.
std::vector<std::string> columns_of(const ProblemKeys& keys);

/// Reads a row as a problem. Throws BadRow.
Problem read_problem(const FileRow& row, const ProblemKeys& keys);

using TakeRow = std::function<void(const FileRow&)>;

/// Gives each row of a file to `take`. A row that cannot be read, or for which `take` throws BadRow, goes to on_bad,
/// which may throw. Returns the number of all rows. Throws base::IoError for a file that does not exist, cannot be read
/// or has no rows. keys: as for open_rows.
int64_t for_each_row(const std::string& file, const std::vector<std::string>& keys, const TakeRow& take,
                     const std::function<void(const BadRow&)>& on_bad);

std::vector<std::string> keys_of(const nlohmann::json& object);

}  // namespace grpo::data
