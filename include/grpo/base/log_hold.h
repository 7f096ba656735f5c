#pragma once

namespace grpo::base {

/// Keeps every line in memory until log_to_file() (log.h) names the file and gets them first; stderr gets errors only.
void hold_log();

}  // namespace grpo::base
