#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>

namespace grpo::update {

/// Makes LibTorch's CPU allocator throw when memory runs out; without this it ends the process. Call it before any work
/// that is to start over in that case.
void throw_when_memory_runs_out();

/// Whether an exception says that the memory of a device or of the process ran out.
bool is_out_of_memory(const std::exception& error);

/// How many tokens a micro-batch may have on this rank. It begins as trainer.micro_batch_tokens, or as less if the
/// memory plan says so. When memory runs out it becomes smaller and stays so for the rest of the run.
class TokenBudget {
 public:
  explicit TokenBudget(int64_t tokens) : tokens_(tokens) {}

  int64_t tokens() const { return tokens_; }

  /// Describes a pass for which the memory was not enough.
  struct Failure {
    std::string where;           // as "step 3, update"
    std::string error;           // the allocator's message
    size_t sequences = 0;        // sequences in the micro-batch of the pass
    int64_t groups = 2;          // groups in it, none of which can be split
    int64_t tokens = 0;          // tokens in it
    bool can_start_over = true;  // no other rank has been sent a part of the gradient yet
  };
  /// Sets the budget to half of what the failed micro-batch had, and logs it. Throws base::Error naming what would help
  /// where smaller micro-batches do not: for a single sequence or group, or where the update cannot start over.
  void shrink(const Failure& failure);

 private:
  int64_t tokens_;
};

}  // namespace grpo::update
