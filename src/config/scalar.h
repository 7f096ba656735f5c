#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// Scalars as text, mostly by the YAML 1.2 core schema.

namespace grpo::config {

/// "true" or "false"; nullopt for any other text.
std::optional<bool> parse_bool(std::string_view text);

/// A finite decimal number; nullopt for any other text.
std::optional<double> parse_number(std::string_view text);

/// An integer such as 512, or a whole number written as a float (1e3) that a double holds exactly; else nullopt.
std::optional<int64_t> parse_integer(std::string_view text);

/// The shortest text that reads back as `value`. It has a decimal point, so that YAML 1.1 readers
/// see a number too: 1.0, 1.0e-6.
std::string format_number(double value);

/// `text` as a YAML scalar that reads back as the same text: plain if every YAML reader takes it for
/// a text, else in double quotes.
std::string format_text(const std::string& text);

}  // namespace grpo::config
