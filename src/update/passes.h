#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "grpo/update/learner.h"
#include "grpo/update/sequence.h"

namespace grpo::update {

/// Runs `work`, a pass over the sequences with these indices. Returns false when memory ran out in it: the budget has
/// been lowered then (or TokenBudget::shrink has thrown), and the memory that the pass held is free again.
bool fits_memory(const Learner& learner, const Watch& watch, const std::vector<Sequence>& sequences,
                 const std::vector<size_t>& indices, const std::function<void()>& work);

/// Splits the sequences with these indices into micro-batches as the budget says, and calls `pass` for each of them:
/// part `number`, from 0, of `count`. When `pass` returns false, the budget has changed; then the sequences are split
/// anew and all of them run again.
void for_each_micro_batch(
    const Learner& learner, const std::vector<Sequence>& sequences, const std::vector<size_t>& indices,
    const std::function<bool(const std::vector<size_t>& part, size_t number, size_t count)>& pass);

}  // namespace grpo::update
