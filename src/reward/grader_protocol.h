#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>

#include "grpo/reward/reward.h"
#include "reward/grader.h"

namespace grpo::reward {

/// What a grader gets of a completion, as one line of JSON (docs/rewards.md). Bytes that are no UTF-8 become U+FFFD.
std::string request_of(const Item& item, int64_t id);

/// The calls that wait for a reply.
class WaitingCalls {
 public:
  /// Those without one.
  explicit WaitingCalls(std::span<Call> calls);
  bool empty() const { return calls_.empty(); }
  size_t size() const { return calls_.size(); }
  /// Gives a reply to its call. Returns what is wrong with it; empty when nothing is.
  std::string take(const nlohmann::json& reply);
  /// The same for the text of a reply.
  std::string take_text(std::string_view text);

 private:
  std::map<int64_t, Call*> calls_;  // by id
};

}  // namespace grpo::reward
