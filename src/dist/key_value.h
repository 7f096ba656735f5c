#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace grpo::dist {

/// One connection to the values that the ranks of a run leave for each other. Calls throw when it is broken, and may
/// hang when the process that holds the values is stopped.
class KeyValue {
 public:
  virtual ~KeyValue() = default;
  virtual void set(const std::string& key, const std::string& value) = 0;
  /// Sets the key to `value` if it holds `expected`. Returns the value that is there afterwards.
  virtual std::string replace(const std::string& key, const std::string& expected, const std::string& value) = 0;
  /// Adds to a number, which is 0 at first; returns the sum.
  virtual int64_t add(const std::string& key, int64_t amount) = 0;
  /// Returns once `key` is set; throws after `timeout`.
  virtual void wait(const std::string& key, std::chrono::milliseconds timeout) = 0;
  virtual void remove(const std::string& key) = 0;
  /// REQUIRES: every key has been set.
  virtual std::vector<std::string> get(const std::vector<std::string>& keys) = 0;
};

}  // namespace grpo::dist
