#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "data/rows.h"
#include "grpo/data/dataset.h"

namespace grpo::data {

/// A row while its file is read.
struct FileRow {
  const std::string& file;
  int64_t number;  // from 0
  const nlohmann::json& value;
  const RowSource& source;
};

/// Which keys of a row make a problem.
struct ProblemKeys {
  std::string prompt;
  std::string answer;  // empty: answers are missing
  std::vector<std::string> extra;
  bool whole_row = false;                  // keep it as JSON text too
  std::string chosen = {}, rejected = {};  // of a preference (preference_row.h); empty: a problem with answers
};

/// The value of a dotted key. A key that itself contains dots wins over nesting. Throws base::IoError naming the place
/// and the nearest key.
const nlohmann::json& value_at(const nlohmann::json& object, const std::string& key, const std::string& place);

/// Sets prompt and messages from a text or a list of chat messages.
void read_prompt(const nlohmann::json& value, const std::string& key, const std::string& place, Problem& problem);
/// Sets them from the messages of a conversation, which are not empty.
void set_conversation(std::vector<Message> messages, const std::string& key, const std::string& place,
                      Problem& problem);

[[noreturn]] void wrong_type(const nlohmann::json& value, const std::string& place, const std::string& key,
                             const char* expected);

/// What open_rows() is to be asked for: all that the keys name, or everything.
std::vector<std::string> columns_of(const ProblemKeys& keys);

/// The problem that a row is. Throws BadRow.
Problem read_problem(const FileRow& row, const ProblemKeys& keys);

using TakeRow = std::function<void(const FileRow&)>;

/// Hands out the rows of a file, which `take` may refuse with a BadRow. Those that cannot be read or
/// are refused go to on_bad, which may throw. Returns the number of all rows. Throws base::IoError for a file that is
/// not there, cannot be read or has no row. keys: as open_rows.
int64_t for_each_row(const std::string& file, const std::vector<std::string>& keys, const TakeRow& take,
                     const std::function<void(const BadRow&)>& on_bad);

std::vector<std::string> keys_of(const nlohmann::json& object);

}  // namespace grpo::data
