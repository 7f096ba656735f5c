#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace grpo::base {

/// What went wrong for a user or in the environment. The message says what, where, what was expected and what to try.
class Error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

class ConfigError : public Error {  // exit code 2: wrong usage or configuration
  using Error::Error;
};
class IoError : public Error {  // a file that is missing, unreadable, malformed, or a disk that is full
  using Error::Error;
};
class CheckpointError : public Error {
  using Error::Error;
};
class DistError : public Error {
  using Error::Error;
};

/// Joins its arguments with operator<<; for messages.
template <typename... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

[[noreturn]] void check_failed(const char* file, int line, const char* condition, const std::string& message);

}  // namespace grpo::base

/// Our own mistakes: throws std::logic_error with the condition, the place and the values given. Always compiled in.
#define GRPO_CHECK(condition, ...)                                                                   \
  do {                                                                                               \
    if (!(condition)) [[unlikely]]                                                                   \
      ::grpo::base::check_failed(__FILE__, __LINE__, #condition, ::grpo::base::concat(__VA_ARGS__)); \
  } while (false)
