#pragma once

#include <string>

namespace grpo::app {

/// Throws base::ConfigError if `output` is the file `input`, by whatever name or link: opening it for writing would
/// empty it before it is read. To be called before either is opened. "-" is never a file.
void refuse_same_file(const std::string& input, const std::string& output);

}  // namespace grpo::app
