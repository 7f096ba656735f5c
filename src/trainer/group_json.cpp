#include "trainer/group_json.h"

#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "trainer/gather_json.h"

namespace grpo::trainer {
namespace {

template <typename T>
nlohmann::json bytes_of_values(const std::vector<T>& values) {
  return bytes_of({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)});
}

template <typename T>
std::vector<T> values_of(const nlohmann::json& json) {
  const std::string bytes = text_of(json);
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

nlohmann::json to_json(const Rollout& rollout) {
  const auto& verdict = rollout.score.verdict;
  return {{"sample", rollout.sample},
          {"ids", bytes_of_values(rollout.completion.ids)},
          {"log_probs", bytes_of_values(rollout.completion.log_probs)},
          {"finish", static_cast<int>(rollout.completion.finish_reason)},
          {"text", bytes_of(rollout.text)},
          {"reward", rollout.score.reward},
          {"values", bytes_of_values(rollout.score.values)},
          {"metrics", rollout.score.metrics},
          {"failure", bytes_of(rollout.score.failure)},
          {"magnitude", rollout.score.magnitude},
          {"verdict", static_cast<int>(verdict.kind)},
          {"answer", bytes_of(verdict.pred_parsed)}};
}

Rollout rollout_from(const nlohmann::json& json, size_t prompt) {
  Rollout rollout{.prompt = prompt,
                  .sample = json.at("sample").get<int64_t>(),
                  .completion = {},
                  .text = text_of(json.at("text")),
                  .score = {},
                  .advantage = 0.0};
  rollout.completion.ids = values_of<int64_t>(json.at("ids"));
  rollout.completion.log_probs = values_of<float>(json.at("log_probs"));
  rollout.completion.finish_reason = static_cast<rollout::FinishReason>(json.at("finish").get<int>());
  rollout.score.reward = json.at("reward").get<double>();
  rollout.score.values = values_of<double>(json.at("values"));
  rollout.score.metrics = json.at("metrics").get<std::vector<std::pair<std::string, double>>>();
  rollout.score.failure = text_of(json.at("failure"));
  rollout.score.magnitude = json.at("magnitude").get<double>();
  rollout.score.verdict.kind = static_cast<verifier::Verdict::Kind>(json.at("verdict").get<int>());
  rollout.score.verdict.pred_parsed = text_of(json.at("answer"));
  return rollout;
}

}  // namespace

nlohmann::json to_json(const std::vector<Rollout>& group) {
  auto values = nlohmann::json::array();
  for (const Rollout& rollout : group) values.push_back(to_json(rollout));
  return values;
}

std::vector<Rollout> group_from(const nlohmann::json& value, size_t prompt) {
  std::vector<Rollout> group;
  for (const auto& rollout : value) group.push_back(rollout_from(rollout, prompt));
  return group;
}

}  // namespace grpo::trainer
