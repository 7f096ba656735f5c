#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace grpo::base {

/// An error of the user or of the environment. The message says what is wrong, where,
/// what was expected and what to try.
class Error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

class ConfigError : public Error {  // wrong usage or configuration; main turns it into exit code 2
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

/// Joins its arguments with operator<<, as for messages: concat("step ", 3) is "step 3".
template <typename... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

[[noreturn]] void check_failed(const char* file, int line, const char* condition, const std::string& message);

}  // namespace grpo::base

/// Guards against our own mistakes: throws std::logic_error with the condition, the place and the values given. It is
/// compiled in always, also in release builds.
#define GRPO_CHECK(condition, ...)                                                                   \
  do {                                                                                               \
    if (!(condition)) [[unlikely]]                                                                   \
      ::grpo::base::check_failed(__FILE__, __LINE__, #condition, ::grpo::base::concat(__VA_ARGS__)); \
  } while (false)
