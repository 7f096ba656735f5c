#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "grpo/dist/communicator.h"

namespace grpo::trainer {

/// Every rank's value, by rank, sent as CBOR. A collective.
std::vector<nlohmann::json> all_gather_json(const nlohmann::json& value, dist::Communicator& communicator);

/// A text that need not be UTF-8 as a value for all_gather_json, and back.
nlohmann::json bytes_of(const std::string& text);
std::string text_of(const nlohmann::json& bytes);

}  // namespace grpo::trainer
