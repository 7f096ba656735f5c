#include "data/problem_row.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/preference_row.h"
#include "grpo/base/error.h"
#include "grpo/base/text.h"

namespace grpo::data {
namespace {

using nlohmann::json;

bool is_blank(const std::string& text) { return text.find_first_not_of(" \t\r\n") == std::string::npos; }

// The last thing that the user says. It stands for the whole conversation where a problem needs a short text.
std::string last_user_content(const std::vector<Message>& messages) {
  const auto last =
      std::find_if(messages.rbegin(), messages.rend(), [](const Message& message) { return message.role == "user"; });
  return last->content;
}

// A missing answer is null; NaN and infinities in a column of numbers were made null before.
std::string answer_text(const json& value, const json& with_number_text, const std::string& place,
                        const std::string& key) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return value.dump();
  if (!value.is_number_float()) wrong_type(value, place, key, "a string or a number");
  return with_number_text.is_string() ? with_number_text.get<std::string>() : with_number_text.dump();
}

// The answers of a row; a list holds several right ones.
std::vector<std::string> answers_of(const json& row, const std::string& key, const RowSource& source) {
  const std::string place = source.place();
  const json& value = value_at(row, key, place);
  const bool fractions =
      value.is_number_float() ||
      (value.is_array() && std::any_of(value.begin(), value.end(), [](const json& v) { return v.is_number_float(); }));
  const json exact_row = fractions ? source.with_number_texts() : json();
  const json& exact = fractions ? value_at(exact_row, key, place) : value;
  if (!value.is_array()) return {answer_text(value, exact, place, key)};
  std::vector<std::string> answers;
  for (size_t i = 0; i < value.size(); ++i) {
    auto text = answer_text(value[i], exact[i], place, key);
    if (!is_blank(text)) answers.push_back(std::move(text));
  }
  if (answers.empty()) answers.emplace_back();
  return answers;
}

std::string fields_of(const json& row, const std::vector<std::string>& keys, const std::string& place) {
  if (keys.empty()) return "";
  json fields = json::object();
  for (const auto& key : keys) fields[key] = value_at(row, key, place);
  return fields.dump();
}

std::string id_of(const json& row, int64_t number, const std::string& place) {
  const json id = row.value("id", json());
  if (id.is_null()) return std::to_string(number);
  if (id.is_string()) return id.get<std::string>();
  if (!id.is_number()) wrong_type(id, place, "id", "a string or a number");
  return id.dump();
}

void require_there(const std::string& file) {
  if (std::filesystem::exists(file)) return;
  throw base::IoError(
      file +
      ": no such file; data.train and eval.data (--data) name files of problems, relative to the configuration "
      "or to where you are; scripts/get_data.sh obtains public ones");
}

}  // namespace

const json& value_at(const json& object, const std::string& key, const std::string& place) {
  if (!object.is_object()) {
    throw base::IoError(place + ": is " + object.type_name() + ", expected an object with the key " + key);
  }
  if (const auto found = object.find(key); found != object.end()) return *found;
  const size_t dot = key.find('.');
  const std::string head = key.substr(0, dot);
  const auto found = object.find(head);
  if (found == object.end())
    throw base::IoError(place + ": no key " + head + base::did_you_mean(head, keys_of(object)));
  if (dot == std::string::npos) return *found;
  return value_at(*found, key.substr(dot + 1), place + ": " + head);
}

void wrong_type(const json& value, const std::string& place, const std::string& key, const char* expected) {
  throw base::IoError(place + ": " + key + " is " + value.type_name() + ", expected " + expected);
}

void set_conversation(std::vector<Message> messages, const std::string& key, const std::string& place,
                      Problem& problem) {
  require_question(messages, place, key);
  problem.prompt = last_user_content(messages);
  problem.messages = std::move(messages);
  if (is_blank(problem.prompt)) throw base::IoError(place + ": " + key + " is empty");
}

void read_prompt(const json& value, const std::string& key, const std::string& place, Problem& problem) {
  if (!value.is_string() && !value.is_array()) wrong_type(value, place, key, "a string or a list of chat messages");
  auto messages =
      value.is_array() ? read_messages(value, place, key) : messages_in_text(value.get<std::string>(), place, key);
  if (value.is_array() || !messages.empty()) return set_conversation(std::move(messages), key, place, problem);
  problem.prompt = value.get<std::string>();
  if (is_blank(problem.prompt)) throw base::IoError(place + ": " + key + " is empty");
}

std::vector<std::string> keys_of(const json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

std::vector<std::string> columns_of(const ProblemKeys& keys) {
  if (keys.whole_row || !keys.chosen.empty()) return {};
  std::vector<std::string> columns = {keys.prompt, keys.answer};
  columns.insert(columns.end(), keys.extra.begin(), keys.extra.end());
  return columns;
}

Problem read_problem(const FileRow& row, const ProblemKeys& keys) {
  try {
    Problem problem{.id = {}, .file = row.file, .row = row.number, .place = row.source.place()};
    problem.id = id_of(row.value, row.number, problem.place);
    if (keys.chosen.empty()) {
      read_prompt(value_at(row.value, keys.prompt, problem.place), keys.prompt, problem.place, problem);
      problem.answers =
          keys.answer.empty() ? std::vector<std::string>{""} : answers_of(row.value, keys.answer, row.source);
    } else {
      read_preference(row.value, keys, problem.place, problem);
    }
    problem.fields = fields_of(row.value, keys.extra, problem.place);
    if (keys.whole_row) problem.whole_row = row.value.dump(-1, ' ', false, json::error_handler_t::replace);
    return problem;
  } catch (const base::IoError& error) {
    throw BadRow(error.what());
  }
}

int64_t for_each_row(const std::string& file, const std::vector<std::string>& keys, const TakeRow& take,
                     const std::function<void(const BadRow&)>& on_bad) {
  require_there(file);
  const auto source = open_rows(file, keys);
  json row;
  for (int64_t number = 0;; ++number) {
    try {
      if (source->next(row)) {
        take({.file = file, .number = number, .value = row, .source = *source});
        continue;
      }
    } catch (const BadRow& error) {
      on_bad(error);
      continue;
    }
    if (number == 0) throw base::IoError(file + ": holds no problem");
    return number;
  }
}

}  // namespace grpo::data
