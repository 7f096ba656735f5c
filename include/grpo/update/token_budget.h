#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>

namespace grpo::update {

/// LibTorch's CPU allocator ends the process when memory runs out, unless it is told to throw. To be called before
/// anything that shall start over in that case.
void throw_when_memory_runs_out();

/// Whether an exception says that a device's or the process's memory was not enough.
bool is_out_of_memory(const std::exception& error);

/// How many tokens a micro-batch may have. It starts as `trainer.micro_batch_tokens` or less, and shrinks for the rest
/// of the run where memory runs out.
class TokenBudget {
 public:
  explicit TokenBudget(int64_t tokens) : tokens_(tokens) {}

  int64_t tokens() const { return tokens_; }

  /// Describes a pass for which the memory was not enough.
  struct Failure {
    std::string where;           // as "step 3, update"
    std::string error;           // the allocator's
    size_t sequences = 0;        // in its micro-batch
    int64_t groups = 2;          // that its sequences are; none of them can be split
    int64_t tokens = 0;          // in it
    bool can_start_over = true;  // no other rank has a part of the gradient yet
  };
  /// Sets the budget to half of what the failed micro-batch had, and logs it. Throws base::Error naming what would help
  /// where smaller micro-batches do not: for a single sequence or group, or where the update cannot start over.
  void shrink(const Failure& failure);

 private:
  int64_t tokens_;
};

}  // namespace grpo::update
