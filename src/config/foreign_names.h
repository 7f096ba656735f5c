#pragma once

#include <string>

namespace grpo::config {

/// The key of this program that means what another trainer (verl, TRL, OpenRLHF, NeMo-RL, slime) calls `key`; empty
/// where none is known. key: dotted; its last part decides.
std::string own_name_of(const std::string& key);

}  // namespace grpo::config
