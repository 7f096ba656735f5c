#include "reward/grader_protocol.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/parse_json.h"

namespace grpo::reward {
namespace {

using nlohmann::json;

constexpr size_t kShown = 200;       // bytes of an answer that a message quotes
constexpr size_t kMostMetrics = 32;  // of one reply; each becomes a metric of the run
constexpr size_t kLongestName = 64;

std::string dumped(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

bool is_name(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  };
  return !name.empty() && name.size() <= kLongestName && name != "mean" && std::all_of(name.begin(), name.end(), fits);
}

// Reads the metrics of a reply. Returns what is wrong with them, or "".
std::string read_metrics(const json& metrics, Reply& reply) {
  if (!metrics.is_object()) return base::concat("its metrics are ", metrics.type_name(), ", expected an object");
  if (metrics.size() > kMostMetrics)
    return base::concat("it has ", metrics.size(), " metrics, and at most ", kMostMetrics, " are read");
  for (const auto& [name, value] : metrics.items()) {
    if (!is_name(name))
      return "a metric is called " + excerpt(name) +
             "; a name has up to 64 of a-z, A-Z, 0-9, _, - and ., and is not mean";
    if (!value.is_number()) return base::concat("its metric ", name, " is ", value.type_name(), ", expected a number");
    reply.metrics.emplace_back(name, value.get<double>());
  }
  return "";
}

}  // namespace

std::string excerpt(std::string_view text) {
  return base::concat('"', text.substr(0, kShown), text.size() > kShown ? "...\"" : "\"");
}

std::string request_of(const Item& item, int64_t id) {
  json gold = item.golds.front();
  if (item.golds.size() > 1) gold = std::vector<std::string>(item.golds.begin(), item.golds.end());
  nlohmann::ordered_json request{
      {"id", id},     {"prompt", item.prompt}, {"completion", item.text},
      {"gold", gold}, {"sample", item.sample}, {"finish_reason", item.truncated ? "length" : "stop"}};
  std::string text = request.dump(-1, ' ', false, json::error_handler_t::replace);
  text.pop_back();
  return base::concat(text, ",\"problem\":", item.row.empty() ? "{}" : item.row, "}");
}

WaitingCalls::WaitingCalls(std::span<Call> calls) {
  for (Call& call : calls) {
    if (!call.reply) calls_.emplace(call.id, &call);
  }
}

std::string WaitingCalls::take(const json& value) {
  if (!value.is_object()) return "it answered " + excerpt(dumped(value)) + ", expected an object with id and reward";
  const auto id = value.find("id");
  if (id == value.end() || !id->is_number_integer())
    return "its answer " + excerpt(dumped(value)) + " has no id of a call";
  const auto waiting = calls_.find(id->get<int64_t>());
  if (waiting == calls_.end())
    return base::concat("it answered with the id ", dumped(*id), ", about which it was not asked, or answered before");
  const auto reward = value.find("reward");
  if (reward == value.end()) return "its answer " + excerpt(dumped(value)) + " has no reward";
  if (!reward->is_number()) return base::concat("its reward is ", reward->type_name(), ", expected a number");
  Reply reply{.reward = reward->get<double>()};
  if (const auto metrics = value.find("metrics"); metrics != value.end() && !metrics->is_null()) {
    if (auto wrong = read_metrics(*metrics, reply); !wrong.empty()) return wrong;
  }
  waiting->second->reply = std::move(reply);
  calls_.erase(waiting);
  return "";
}

std::string WaitingCalls::take_text(std::string_view text) {
  try {
    return take(io::parse_json(text, ""));
  } catch (const base::IoError&) {
    return "it answered " + excerpt(text) +
           ", which is no JSON (stdout is for answers; other output belongs on stderr)";
  }
}

}  // namespace grpo::reward
