#include "grpo/data/dataset.h"

#include <filesystem>

#include "data/rows.h"
#include "grpo/base/error.h"
#include "grpo/base/text.h"

namespace grpo::data {
namespace {

using nlohmann::json;

std::vector<std::string> keys_of(const json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

// The value of a dotted key. A key that itself contains dots wins over nesting.
const json& value_at(const json& object, const std::string& key, const std::string& place) {
  if (!object.is_object()) {
    throw base::IoError(place + ": is " + object.type_name() + ", expected an object with the key " + key);
  }
  if (const auto found = object.find(key); found != object.end()) return *found;
  const size_t dot = key.find('.');
  const std::string head = key.substr(0, dot);
  const auto found = object.find(head);
  if (found == object.end()) throw base::IoError(place + ": no key " + head + base::did_you_mean(head, keys_of(object)));
  if (dot == std::string::npos) return *found;
  return value_at(*found, key.substr(dot + 1), place + ": " + head);
}

[[noreturn]] void wrong_type(const json& value, const std::string& place, const std::string& key, const char* expected) {
  throw base::IoError(place + ": " + key + " is " + value.type_name() + ", expected " + expected);
}

// The content of the last message whose role is "user".
std::string last_user_content(const json& messages, const std::string& place, const std::string& key) {
  for (size_t i = messages.size(); i-- > 0;) {
    const json& message = messages[i];
    if (!message.is_object() || message.value("role", json()) != "user") continue;
    const json content = message.value("content", json());
    if (!content.is_string()) wrong_type(content, place, key + "'s content", "a string");
    return content.get<std::string>();
  }
  throw base::IoError(place + ": " + key + " has no message with role \"user\"");
}

std::string prompt_of(const json& row, const std::string& key, const std::string& place) {
  const json& value = value_at(row, key, place);
  if (!value.is_string() && !value.is_array()) wrong_type(value, place, key, "a string or a list of chat messages");
  const auto text = value.is_string() ? value.get<std::string>() : last_user_content(value, place, key);
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) throw base::IoError(place + ": " + key + " is empty");
  return text;
}

// A list of exactly one value stands for that value.
const json& only_value(const json& value, const std::string& place, const std::string& key) {
  if (!value.is_array()) return value;
  if (value.size() == 1) return value[0];
  throw base::IoError(base::concat(place, ": ", key, " is a list of ", value.size(), ", expected one answer"));
}

std::string answer_of(const json& row, const std::string& key, const RowSource& source) {
  const std::string place = source.place();
  const json& value = only_value(value_at(row, key, place), place, key);
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return value.dump();
  if (!value.is_number_float()) wrong_type(value, place, key, "a string or a number");
  const json exact = source.with_number_texts();
  const json& text = only_value(value_at(exact, key, place), place, key);
  return text.is_string() ? text.get<std::string>() : text.dump();
}

std::string id_of(const json& row, int64_t row_in_file, const std::string& place) {
  const json id = row.value("id", json());
  if (id.is_null()) return std::to_string(row_in_file);
  if (id.is_string()) return id.get<std::string>();
  if (!id.is_number()) wrong_type(id, place, "id", "a string or a number");
  return id.dump();
}

}  // namespace

std::vector<Problem> load_problems(const std::vector<std::string>& files, const std::string& prompt_key,
                                   const std::string& answer_key) {
  std::vector<Problem> problems;
  for (const auto& file : files) {
    if (!std::filesystem::exists(file)) {
      throw base::IoError(file + ": no such file; data.train and eval.data (--data) name files of problems, relative to the configuration "
                                 "or to where you are; scripts/get_data.sh obtains public ones");
    }
    const auto source = open_rows(file, {prompt_key, answer_key});
    json row;
    int64_t row_in_file = 0;
    while (source->next(row)) {
      const std::string place = source->place();
      problems.push_back({.id = id_of(row, row_in_file, place),
                          .file = file,
                          .row = static_cast<int64_t>(problems.size()),
                          .prompt = prompt_of(row, prompt_key, place),
                          .answer = answer_of(row, answer_key, *source)});
      ++row_in_file;
    }
    if (row_in_file == 0) throw base::IoError(file + ": holds no problem");
  }
  return problems;
}

}  // namespace grpo::data
