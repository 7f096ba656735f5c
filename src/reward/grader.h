#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace grpo::reward {

struct Reply {
  double reward = 0.0;  // always finite, since JSON has no other numbers
  std::vector<std::pair<std::string, double>> metrics = {};
};

/// One completion that a grader is asked about.
struct Call {
  int64_t id = 0;       // unique among the calls of a term in this process
  std::string name;     // for messages: names the term, the problem and the sample
  std::string request;  // a JSON object in one line
  std::optional<Reply> reply = std::nullopt;
  std::string failure = {};  // set when there is no reply after all retries: why
};

/// Asks another program to judge completions. Each instance is used by one thread only.
class Grader {
 public:
  virtual ~Grader() = default;
  /// Prepares the grader for calls of ask(). Throws base::Error when that is not possible.
  virtual void start() = 0;
  /// Asks about the calls that have no reply and sets their replies. Returns "" or what went wrong; in that case
  /// some calls still have no reply.
  virtual std::string ask(std::span<Call> calls) = 0;

  /// Once `cancelled` is true, ask() gives up within a second or so. Call it before ask().
  void give_up_when(const std::atomic<bool>& cancelled) { cancelled_ = &cancelled; }

 protected:
  bool cancelled() const { return cancelled_ != nullptr && *cancelled_; }

 private:
  const std::atomic<bool>* cancelled_ = nullptr;
};

}  // namespace grpo::reward
