#include "grpo/update/token_budget.h"

#include <c10/util/Exception.h>
#include <c10/util/Logging.h>

#include <algorithm>
#include <array>
#include <new>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/base/text.h"

namespace grpo::update {

void throw_when_memory_runs_out() { FLAGS_caffe2_use_fatal_for_enforce = false; }

bool is_out_of_memory(const std::exception& error) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
      dynamic_cast<const std::bad_alloc*>(&error) != nullptr)
    return true;
  if (dynamic_cast<const c10::Error*>(&error) == nullptr) return false;
  // Where LibTorch's CPU allocator fails, or a library that allocates on a device itself, the error is LibTorch's
  // general one. Only its text tells it from others.
  constexpr std::array kTexts = {"DefaultCPUAllocator: can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED",
                                 "CUDA error: out of memory"};
  const std::string text = error.what();
  for (const char* part : kTexts) {
    if (text.find(part) != std::string::npos) return true;
  }
  return false;
}

void TokenBudget::shrink(const Failure& failure) {
  // Of the error only the first line is shown, because LibTorch's errors go on with a stack trace.
  const std::string what =
      base::concat(failure.where, ": memory ran out in a micro-batch of ", failure.sequences, " sequences, ",
                   failure.tokens, " tokens (", base::first_line(failure.error), ")");
  if (!failure.can_start_over) {
    throw base::Error(
        base::concat(what,
                     "; the update cannot start over, as other ranks have parts of the gradients already. "
                     "Try a smaller trainer.micro_batch_tokens (",
                     tokens_, "), or distributed.sharding: zero1"));
  }
  if (failure.sequences <= 1 || failure.groups <= 1) {
    throw base::Error(base::concat(
        what,
        failure.sequences <= 1 ? "; not even one sequence fits." : "; not even one group fits, and it is not split.",
        " Try trainer.activation_checkpointing: full, a smaller rollout.max_new_tokens, "
        "a smaller rollout.kv_memory_gb, model.dtype: bfloat16, or more ranks (distributed.sharding)"));
  }
  tokens_ = std::max<int64_t>(failure.tokens / 2, 1);
  base::log_warning(
      base::concat(what, "; the update starts over with micro-batches of at most ", tokens_,
                   " tokens, and later ones keep to that. A smaller trainer.micro_batch_tokens saves the attempt"));
}

}  // namespace grpo::update
