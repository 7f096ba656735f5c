#pragma once

#include <string>
#include <vector>

#include "report/arms.h"

namespace grpo::report {

/// What a sentence calls an arm: the first of method, loss, trained weights and groups that tell it from all others, as
/// "PPO" or "GRPO clip G=16"; what its runs are called where none of these does.
std::string label_of(const Arm& arm, const std::vector<Arm>& arms);

}  // namespace grpo::report
