#include "trainer/gather_json.h"

#include <cstdint>
#include <nlohmann/json.hpp>

namespace grpo::trainer {

nlohmann::json bytes_of(const std::string& text) {
  return nlohmann::json::binary(std::vector<uint8_t>(text.begin(), text.end()));
}

std::string text_of(const nlohmann::json& bytes) {
  const auto& binary = bytes.get_binary();
  return {binary.begin(), binary.end()};
}

std::vector<nlohmann::json> all_gather_json(const nlohmann::json& value, dist::Communicator& communicator) {
  std::string bytes;
  nlohmann::json::to_cbor(value, bytes);
  std::vector<nlohmann::json> values;
  for (const auto& theirs : communicator.all_gather_bytes(bytes)) values.push_back(nlohmann::json::from_cbor(theirs));
  return values;
}

}  // namespace grpo::trainer
