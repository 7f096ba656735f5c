#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace grpo::reward {

struct Reply {
  double reward = 0.0;  // finite
  std::vector<std::pair<std::string, double>> metrics = {};
};

/// A completion that a grader is asked about.
struct Call {
  int64_t id = 0;       // one of its own in this process
  std::string name;     // for messages: the term, the problem and the sample
  std::string request;  // a JSON object in one line
  std::optional<Reply> reply = std::nullopt;
  std::string failure = {};  // why there is no reply, after all retries
};

/// Another program that judges completions. For one thread.
class Grader {
 public:
  virtual ~Grader() = default;
  /// Makes it ready to be asked. Throws base::Error where that cannot be.
  virtual void start() = 0;
  /// Asks about the calls that have no reply and sets their replies. Returns what went wrong, and then some have none.
  virtual std::string ask(std::span<Call> calls) = 0;
};

}  // namespace grpo::reward
