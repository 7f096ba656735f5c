#pragma once

#include <optional>

#include "grpo/update/learner.h"

namespace grpo::update {

/// Decides whether an update is dropped, so that either all ranks drop it or none does. Each rank asks skips() before
/// its micro-batches, and all ask closes() before the first collective that belongs to the update.
class UpdateGate {
 public:
  UpdateGate(const Learner& learner, const Watch& watch) : communicator_(learner.communicator), watch_(watch) {}

  /// Whether this rank would drop the update, and therefore need not run another micro-batch. After closes() it gives
  /// the answer that closes() gave, and should_stop is not asked any more.
  bool skips();
  /// Whether any rank would drop the update, in which case all do. The first call is a meeting of all ranks
  /// (Communicator::meet); later calls repeat its answer.
  bool closes();

 private:
  dist::Communicator& communicator_;
  const Watch& watch_;
  bool skipping_ = false;
  std::optional<bool> closes_;
};

}  // namespace grpo::update
