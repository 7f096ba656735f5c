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

/// The request about a completion as one line of JSON (docs/rewards.md). Invalid UTF-8 becomes U+FFFD.
std::string request_of(const Item& item, int64_t id);

/// The beginning of an answer in quotation marks, for a message.
std::string excerpt(std::string_view text);

/// The calls that still wait for a reply.
class WaitingCalls {
 public:
  /// Takes the calls that have no reply.
  explicit WaitingCalls(std::span<Call> calls);
  bool empty() const { return calls_.empty(); }
  size_t size() const { return calls_.size(); }
  /// Reads a reply and gives it to the call whose id it has. Returns what is wrong with the reply, or "".
  std::string take(const nlohmann::json& reply);
  /// take() for a reply that is still JSON text.
  std::string take_text(std::string_view text);

 private:
  std::map<int64_t, Call*> calls_;  // by id
};

}  // namespace grpo::reward
