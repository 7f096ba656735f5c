#include "update/passes.h"

#include <exception>
#include <optional>
#include <string>

#include "update/families.h"
#include "update/micro_batch.h"

namespace grpo::update {

bool fits_memory(const Learner& learner, const Watch& watch, const std::vector<Sequence>& sequences,
                 const std::vector<size_t>& indices, const std::function<void()>& work) {
  std::optional<std::string> error;
  try {
    work();
    return true;
  } catch (const std::exception& thrown) {
    if (!is_out_of_memory(thrown)) throw;
    error = thrown.what();
  }
  // This comes after the catch block, because until the end of that block the exception may keep the pass's memory
  // alive.
  learner.budget.shrink({.where = watch.name + ", update",
                         .error = *error,
                         .sequences = indices.size(),
                         .groups = static_cast<int64_t>(groups_of(sequences, indices).size()),
                         .tokens = tokens_of(sequences, indices, sharing_of(learner)),
                         .can_start_over = learner.optimizer.can_drop_alone()});
  return false;
}

void for_each_micro_batch(
    const Learner& learner, const std::vector<Sequence>& sequences, const std::vector<size_t>& indices,
    const std::function<bool(const std::vector<size_t>& part, size_t number, size_t count)>& pass) {
  for (bool whole = false; !whole;) {
    const auto parts =
        split_micro_batches(sequences, indices, learner.model.config(), sharing_of(learner), learner.budget.tokens());
    whole = true;
    for (size_t number = 0; number < parts.size() && whole; ++number) whole = pass(parts[number], number, parts.size());
  }
}

}  // namespace grpo::update
