#pragma once

#include <optional>

#include "grpo/update/learner.h"

namespace grpo::update {

/// How an update is dropped by all ranks or by none. Each asks skips() before its micro-batches, and all ask closes()
/// before the first collective that depends on them.
class UpdateGate {
 public:
  UpdateGate(const Learner& learner, const Watch& watch) : communicator_(learner.communicator), watch_(watch) {}

  /// Whether this rank would drop the update, and so need not run another micro-batch. Not after closes() has said no.
  bool skips();
  /// Whether any rank would: then all do. The ranks meet here (Communicator::meet), the first time; the answer stays.
  bool closes();

 private:
  dist::Communicator& communicator_;
  const Watch& watch_;
  bool skipping_ = false;
  std::optional<bool> closes_;
};

}  // namespace grpo::update
