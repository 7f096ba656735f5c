#include "trainer/draws.h"

#include <utility>

namespace grpo::trainer {

Draws::Draws(std::function<Draw(size_t)> make, int64_t prompts, int64_t most_rollouts)
    : make_(std::move(make)), prompts_(static_cast<size_t>(prompts)), most_rollouts_(most_rollouts) {}

const Draw* Draws::at(size_t number) {
  while (draws_.size() <= number && !ended_) {
    Draw draw = make_(draws_.size());
    ended_ = draws_.size() >= prompts_ && rollouts_ + draw.size > most_rollouts_;
    if (ended_) break;
    rollouts_ += draw.size;
    draws_.push_back(std::move(draw));
  }
  return number < draws_.size() ? &draws_[number] : nullptr;
}

}  // namespace grpo::trainer
