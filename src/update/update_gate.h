#pragma once

#include <optional>

#include "grpo/update/learner.h"

namespace grpo::update {

/// Decides whether an update is dropped, so that either all ranks drop it or none does. Each rank asks skips() before
/// its micro-batches, and all ask closes() before the first collective that belongs to the update.
class UpdateGate {
 public:
  UpdateGate(const Learner& learner, const Watch& watch) : communicator_(learner.communicator), watch_(watch) {}

  /// Whether this rank would drop the update, and therefore need not run another micro-batch. Not asked any more once
  /// closes() has said no.
  bool skips();
  /// Whether any rank would drop it, in which case all do. The ranks meet here (Communicator::meet) the first time it
  /// is asked; the answer stays the same from then on.
  bool closes();

 private:
  dist::Communicator& communicator_;
  const Watch& watch_;
  bool skipping_ = false;
  std::optional<bool> closes_;
};

}  // namespace grpo::update
