#include "trainer/token_budget.h"

#include <c10/util/Exception.h>
#include <c10/util/Logging.h>

#include <array>
#include <new>
#include <optional>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "trainer/micro_batch.h"

namespace grpo::trainer {
namespace {

// The first line: LibTorch's errors go on with a stack trace.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

void throw_when_memory_runs_out() { FLAGS_caffe2_use_fatal_for_enforce = false; }

bool is_out_of_memory(const std::exception& error) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr || dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return true;
  if (dynamic_cast<const c10::Error*>(&error) == nullptr) return false;
  // LibTorch's allocator on the CPU, and libraries that allocate on a device themselves, throw its general error.
  constexpr std::array kTexts = {"DefaultCPUAllocator: can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDA error: out of memory"};
  const std::string text = error.what();
  for (const char* part : kTexts) {
    if (text.find(part) != std::string::npos) return true;
  }
  return false;
}

void shrink_micro_batches(StepContext& context, const RolloutBatch& batch, const std::vector<size_t>& rollouts, const std::string& error) {
  int64_t tokens = 0;
  for (const size_t index : rollouts) tokens += packed_length(batch, index);
  const std::string what = base::concat("step ", context.step, ", update: memory ran out in a micro-batch of ", rollouts.size(), " rollouts, ", tokens,
                                        " tokens (", first_line(error), ")");
  if (!context.optimizer.can_drop_alone()) {
    throw base::Error(base::concat(what, "; with gradients split over ranks the update cannot start over, as other ranks have parts of them "
                                         "already. Try a smaller trainer.micro_batch_tokens (", context.micro_batch_tokens,
                                   "), or distributed.sharding: zero1"));
  }
  if (rollouts.size() <= 1) {
    throw base::Error(base::concat(what, "; not even one rollout fits. Try trainer.activation_checkpointing: full, a smaller rollout.max_new_tokens, "
                                         "a smaller rollout.kv_memory_gb, model.dtype: bfloat16, or more ranks (distributed.sharding)"));
  }
  context.micro_batch_tokens = std::max<int64_t>(tokens / 2, 1);
  base::log_warning(base::concat(what, "; the update starts over with micro-batches of at most ", context.micro_batch_tokens,
                                 " tokens, and later ones keep to that. A smaller trainer.micro_batch_tokens saves the attempt"));
}

void run_in_micro_batches(StepContext& context, const RolloutBatch& batch, const std::vector<size_t>& rollouts,
                          const std::function<void(const std::vector<size_t>& part, size_t number, size_t count)>& pass,
                          const std::function<void()>& drop) {
  while (true) {
    const auto parts = split_micro_batches(batch, rollouts, context.policy.model->config(), context.micro_batch_tokens);
    size_t number = 0;
    std::optional<std::string> error;
    try {
      for (; number < parts.size(); ++number) pass(parts[number], number, parts.size());
      return;
    } catch (const std::exception& thrown) {
      if (!is_out_of_memory(thrown)) throw;
      error = thrown.what();
    }
    shrink_micro_batches(context, batch, parts[number], *error);
    drop();
  }
}

}  // namespace grpo::trainer
