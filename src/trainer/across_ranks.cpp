#include "trainer/across_ranks.h"

#include <cstring>
#include <nlohmann/json.hpp>

namespace grpo::trainer {
namespace {

template <typename T>
nlohmann::json bytes_of_values(const T& values) {
  std::vector<uint8_t> bytes(values.size() * sizeof(values[0]));
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return nlohmann::json::binary(std::move(bytes));
}

template <typename T>
std::vector<T> values_of(const nlohmann::json& json) {
  const auto& bytes = json.get_binary();
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
  rollout.score.failure = text_of(json.at("failure"));
  rollout.score.magnitude = json.at("magnitude").get<double>();
  rollout.score.verdict.kind = static_cast<verifier::Verdict::Kind>(json.at("verdict").get<int>());
  rollout.score.verdict.pred_parsed = text_of(json.at("answer"));
  return rollout;
}

}  // namespace

nlohmann::json bytes_of(const std::string& text) { return bytes_of_values(text); }

std::string text_of(const nlohmann::json& bytes) {
  const auto characters = values_of<char>(bytes);
  return {characters.begin(), characters.end()};
}

std::pair<size_t, size_t> share_of(size_t count, const dist::Communicator& communicator) {
  const auto rank = static_cast<size_t>(communicator.rank());
  const auto ranks = static_cast<size_t>(communicator.size());
  return {count * rank / ranks, count * (rank + 1) / ranks};
}

std::vector<nlohmann::json> all_gather_json(const nlohmann::json& value, dist::Communicator& communicator) {
  std::string bytes;
  nlohmann::json::to_cbor(value, bytes);
  std::vector<nlohmann::json> values;
  for (const auto& theirs : communicator.all_gather_bytes(bytes)) values.push_back(nlohmann::json::from_cbor(theirs));
  return values;
}

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
