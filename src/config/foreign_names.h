#pragma once

#include <string>

namespace grpo::config {

/// The key of this program with the meaning that `key` has in another trainer (verl, TRL, OpenRLHF, NeMo-RL, slime), or
/// "" if none is known. `key` is dotted; only its last part is looked up.
std::string own_name_of(const std::string& key);

}  // namespace grpo::config
