#include "update/update_gate.h"

namespace grpo::update {

bool UpdateGate::skips() {
  if (closes_) return *closes_;
  if (!skipping_) skipping_ = watch_.should_stop && watch_.should_stop();
  return skipping_;
}

bool UpdateGate::closes() {
  if (closes_) return *closes_;
  if (!watch_.should_stop) return false;  // it is set on all ranks or on none
  // While a rank waits here it goes on asking should_stop, which also tells the other ranks (trainer/stopping.h). They
  // may have much left to run, and can then skip it.
  closes_ = communicator_.meet("the update", skips() ? 1 : 0, [this] { watch_.should_stop(); }) > 0;
  return *closes_;
}

}  // namespace grpo::update
