#pragma once

namespace grpo::base {

/// Keeps every line in memory until log_to_file() (log.h) names a file, which then begins with these lines.
/// Meanwhile stderr gets errors only.
void hold_log();

}  // namespace grpo::base
