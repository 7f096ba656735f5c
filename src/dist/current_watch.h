#pragma once

#include <memory>
#include <string>

#include "dist/watch.h"

namespace grpo::dist {

/// Makes `watch` the one to which report_failure (communicator.h) reports, also after its
/// communicator is gone. Null: none.
void set_current_watch(std::shared_ptr<Watch> watch);

/// Prints the message and ends the process, from whatever thread.
[[noreturn]] void end_process(const std::string& message, int exit_code);

}  // namespace grpo::dist
