#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace grpo::dist {

/// A connection to the store: named values that the ranks of a run leave for each other. Calls throw when the
/// connection is broken, and may hang when the process that holds the store is stopped.
class KeyValue {
 public:
  virtual ~KeyValue() = default;
  virtual void set(const std::string& key, const std::string& value) = 0;
  /// Sets the key to `value` if it holds `expected`. Returns what the key holds afterwards.
  virtual std::string replace(const std::string& key, const std::string& expected, const std::string& value) = 0;
  /// Adds to a number, which begins at 0, and returns the sum.
  virtual int64_t add(const std::string& key, int64_t amount) = 0;
  /// Returns once `key` is set; throws if that takes longer than `timeout`.
  virtual void wait(const std::string& key, std::chrono::milliseconds timeout) = 0;
  virtual void remove(const std::string& key) = 0;
  /// REQUIRES: every key has been set.
  virtual std::vector<std::string> get(const std::vector<std::string>& keys) = 0;
};

}  // namespace grpo::dist
