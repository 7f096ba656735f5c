#pragma once

#include <string>

namespace grpo::testing {

/// What `action` throws as E, or "no error" when it throws nothing.
template <typename E, typename Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace grpo::testing
