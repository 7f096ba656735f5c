#include "data/preference_row.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/condition.h"
#include "grpo/base/error.h"

namespace grpo::data {
namespace {

using nlohmann::json;
using Messages = std::vector<Message>;

// One of the two completions as it stands in the row.
struct Side {
  std::string key;
  std::string text;   // the value if it is a text
  Messages messages;  // the value if it is a list of messages, prompt included
};

Side read_side(const json& row, const std::string& key, const std::string& place) {
  const json& value = value_at(row, key, place);
  if (!value.is_string() && !value.is_array()) wrong_type(value, place, key, "a string or a list of chat messages");
  Side side{.key = key, .text = {}, .messages = {}};
  if (value.is_string()) side.text = value.get<std::string>();
  side.messages = value.is_array() ? read_messages(value, place, key) : messages_in_text(side.text, place, key);
  if (value.is_array() && side.messages.empty()) throw base::IoError(place + ": " + key + " is an empty list");
  if (!side.messages.empty() && side.messages.back().role != "assistant")
    throw base::IoError(base::concat(place, ": ", key, " ends in a message of the ", side.messages.back().role,
                                     ", not the assistant's"));
  return side;
}

// The messages with which both lists begin. The last message of a list is its completion and never belongs to the
// beginning, even if both completions are equal.
Messages common_beginning(const Side& chosen, const Side& rejected) {
  if (chosen.messages.empty() || rejected.messages.empty()) return {};
  const auto mine = chosen.messages.end() - 1, theirs = rejected.messages.end() - 1;
  const auto end = std::mismatch(chosen.messages.begin(), mine, rejected.messages.begin(), theirs).first;
  return {chosen.messages.begin(), end};
}

std::string completion_of(const Side& side, const Messages& beginning, const std::string& place) {
  if (side.messages.empty()) return side.text;
  if (side.messages.size() != beginning.size() + 1)
    throw base::IoError(base::concat(place, ": ", side.key, " has ", side.messages.size() - beginning.size(),
                                     " messages behind what both completions begin with; expected the assistant's "
                                     "answer alone"));
  return side.messages.back().content;
}

std::string last_user_text(const Messages& messages) {
  const auto last = std::find_if(messages.rbegin(), messages.rend(), [](const Message& m) { return m.role == "user"; });
  return last == messages.rend() ? "" : last->content;
}

// A prompt beside whole conversations may only repeat what they ask.
void require_same_question(const Problem& prompt, const Messages& beginning, const std::string& key,
                           const std::string& place) {
  if (prompt.prompt == last_user_text(beginning)) return;
  throw base::IoError(place + ": " + key + " is not what the conversations of both completions ask");
}

}  // namespace

void read_preference(const json& row, const ProblemKeys& keys, const std::string& place, Problem& problem) {
  const Side chosen = read_side(row, keys.chosen, place), rejected = read_side(row, keys.rejected, place);
  const auto beginning = common_beginning(chosen, rejected);
  const std::string key = find_value(row, keys.prompt) == nullptr && row.contains("prompt") ? "prompt" : keys.prompt;
  const json* prompt = find_value(row, key);
  if (prompt == nullptr && beginning.empty())
    throw base::IoError(base::concat(place, ": no key ", keys.prompt, " and none called prompt, and ", keys.chosen,
                                     " and ", keys.rejected, " are no conversations that begin alike"));
  if (prompt != nullptr) read_prompt(*prompt, key, place, problem);
  if (prompt != nullptr && !beginning.empty()) require_same_question(problem, beginning, key, place);
  if (!beginning.empty()) set_conversation(beginning, keys.chosen, place, problem);
  problem.answers = {completion_of(chosen, beginning, place)};
  problem.rejected = completion_of(rejected, beginning, place);
}

}  // namespace grpo::data
