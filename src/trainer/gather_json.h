#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "grpo/dist/communicator.h"

namespace grpo::trainer {

/// The values of all ranks, in the order of ranks. They are sent as CBOR. A collective.
std::vector<nlohmann::json> all_gather_json(const nlohmann::json& value, dist::Communicator& communicator);

/// Turns a text, which need not be UTF-8, into a value for all_gather_json(), and back.
nlohmann::json bytes_of(const std::string& text);
std::string text_of(const nlohmann::json& bytes);

}  // namespace grpo::trainer
