#pragma once

namespace grpo::app {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;      // the work failed
inline constexpr int kWrongUsage = 2;  // wrong usage or configuration
inline constexpr int kStopped = 3;     // stopped by a signal, after saving a checkpoint

/// The exit code that a command's callback leaves for main, since callbacks return nothing; kDone unless set.
void set_exit_code(int code);
int last_exit_code();

}  // namespace grpo::app
