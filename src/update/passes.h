#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "grpo/update/learner.h"
#include "grpo/update/sequence.h"

namespace grpo::update {

/// Runs `work`, a pass over the sequences with these indices. False when memory ran out in it: TokenBudget::shrink has
/// been called, and what the pass held is gone.
bool fits_memory(const Learner& learner, const Watch& watch, const std::vector<Sequence>& sequences,
                 const std::vector<size_t>& indices, const std::function<void()>& work);

/// Runs `pass` over each of the micro-batches that these sequences are split into by the budget: part number `number`
/// of `count`. Where it returns false all are run again, split by what the budget is then.
void for_each_micro_batch(
    const Learner& learner, const std::vector<Sequence>& sequences, const std::vector<size_t>& indices,
    const std::function<bool(const std::vector<size_t>& part, size_t number, size_t count)>& pass);

}  // namespace grpo::update
