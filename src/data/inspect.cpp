#include "grpo/data/inspect.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "data/problem_row.h"

namespace grpo::data {
namespace {

using nlohmann::json;

// The names that public data sets use, the more specific ones first.
const std::vector<std::string> kPromptNames = {"problem", "question", "prompt",        "query", "instruction",
                                               "input",   "messages", "conversations", "text"};
const std::vector<std::string> kAnswerNames = {"answer",          "reward_model.ground_truth",
                                               "ground_truth",    "final_answer",
                                               "expected_answer", "gold",
                                               "gold_answer",     "target",
                                               "label",           "solution",
                                               "output",          "response",
                                               "completion"};

bool is_chat(const json& list) {
  return !list.empty() && list[0].is_object() && (list[0].contains("role") || list[0].contains("from"));
}

std::string kind_of(const json& value) {
  if (value.is_string()) return "text";
  if (value.is_number()) return "number";
  if (value.is_boolean()) return "true or false";
  if (value.is_null()) return "null";
  return is_chat(value) ? "chat" : "list";
}

// The fields in the order in which they were seen first. Objects with a key of its own for each row, as for a user or a
// token, make as many of them as there are rows.
struct Fields {
  std::vector<SeenField>& list;
  std::unordered_map<std::string, size_t> places = {};
};

// Counts the keys of an object and, by dotted names, the keys of the objects in it.
void count_fields(const json& object, const std::string& prefix, Fields& fields) {
  for (const auto& [key, value] : object.items()) {
    const std::string name = prefix + key;
    if (value.is_object() && !value.empty()) {
      count_fields(value, name + ".", fields);
      continue;
    }
    const auto [place, is_new] = fields.places.emplace(name, fields.list.size());
    if (is_new) fields.list.push_back({.name = name, .rows = 0, .kinds = {}});
    SeenField& field = fields.list[place->second];
    ++field.rows;
    const std::string kind = value.is_object() ? "object" : kind_of(value);
    if (std::find(field.kinds.begin(), field.kinds.end(), kind) == field.kinds.end()) field.kinds.push_back(kind);
  }
}

bool has(const std::vector<SeenField>& fields, const std::string& name) {
  return std::any_of(fields.begin(), fields.end(), [&](const SeenField& field) { return field.name == name; });
}

std::string guessed(const std::vector<std::string>& names, const std::vector<SeenField>& fields) {
  const auto found = std::find_if(names.begin(), names.end(), [&](const auto& name) { return has(fields, name); });
  return found == names.end() ? "" : *found;
}

void read_problems(SeenFile& seen) {
  const auto note = [&](const BadRow& error) { seen.bad.emplace_back(error.what()); };
  ProblemKeys keys{seen.prompt_key, seen.answer_key, {}};
  keys.chosen = seen.chosen_key;
  keys.rejected = seen.rejected_key;
  if (seen.prompt_key.empty()) keys.prompt = kPromptNames.front();  // the default, which errors name
  const auto take = [&](const FileRow& row) { seen.problems.push_back(read_problem(row, keys)); };
  for_each_row(seen.file, {}, take, note);
}

// Names that hold the question beside two completions; a list of messages there is one of these completions again.
const std::vector<std::string> kPairPromptNames = {"problem", "prompt", "question", "query", "instruction"};

void look_for_pairs(SeenFile& seen, const std::string& prompt_key) {
  if (!has(seen.fields, "chosen") || !has(seen.fields, "rejected")) return;
  seen.chosen_key = "chosen";
  seen.rejected_key = "rejected";
  seen.answer_key.clear();
  seen.prompt_key = prompt_key.empty() ? guessed(kPairPromptNames, seen.fields) : prompt_key;
}

}  // namespace

SeenFile inspect_file(const std::string& file, const std::string& prompt_key, const std::string& answer_key) {
  SeenFile seen;
  seen.file = file;
  Fields fields{seen.fields};
  const auto count = [&](const FileRow& row) { count_fields(row.value, "", fields); };
  seen.rows = for_each_row(file, {}, count, [&](const BadRow& error) { seen.bad.emplace_back(error.what()); });
  seen.prompt_key = prompt_key.empty() ? guessed(kPromptNames, seen.fields) : prompt_key;
  seen.answer_key = answer_key.empty() ? guessed(kAnswerNames, seen.fields) : answer_key;
  if (answer_key.empty() && (seen.answer_key.empty() || seen.prompt_key.empty())) look_for_pairs(seen, prompt_key);
  if (seen.prompt_key.empty() && seen.chosen_key.empty()) return seen;
  seen.bad.clear();  // the second reading finds these again, and rows that are not problems
  read_problems(seen);
  return seen;
}

}  // namespace grpo::data
