#include "config/scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "grpo/base/error.h"

namespace grpo::config {
namespace {

constexpr double kLargestExactInteger = 9007199254740992.0;  // 2^53

template <typename T>
std::optional<T> parse_whole(std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool contains_only(std::string_view text, std::string_view characters) {
  return text.find_first_not_of(characters) == std::string_view::npos;
}

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

// Whether YAML 1.1 or 1.2 readers take the word for a boolean, null or a number, in upper or lower case.
bool is_reserved_word(std::string_view text) {
  static constexpr std::array<std::string_view, 11> kWords = {"true", "false", "null", "yes",  "no",  "on",
                                                              "off",  "y",     "n",    ".inf", ".nan"};
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return std::find(kWords.begin(), kWords.end(), lower) != kWords.end();
}

// Whether the text could be a number or a date (decimal, hexadecimal, octal): then it is quoted without looking closer.
bool looks_like_number(std::string_view text) {
  return contains_only(text.substr(0, 1), "0123456789.") && contains_only(text, "0123456789abcdefABCDEFxXoO_.+-");
}

bool can_be_plain(std::string_view text) {
  if (text.empty() || text.back() == ' ' || is_reserved_word(text) || looks_like_number(text)) return false;
  const char first = text.front();
  if (!is_letter_or_digit(first) && first != '_' && first != '.' && first != '/') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_letter_or_digit(c) || std::string_view("_./+@-= ").find(c) != std::string_view::npos;
  });
}

std::string escaped(char c) {
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\n':
      return "\\n";
    case '\t':
      return "\\t";
    case '\r':
      return "\\r";
    default:
      break;
  }
  const auto byte = static_cast<unsigned char>(c);
  if (byte >= 0x20 && byte != 0x7F) return {c};
  std::array<char, 8> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "\\x%02X", byte);
  return buffer.data();
}

}  // namespace

std::optional<bool> parse_bool(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return std::nullopt;
}

std::optional<double> parse_number(std::string_view text) {
  const auto value = parse_whole<double>(text);
  if (value && !std::isfinite(*value)) return std::nullopt;
  return value;
}

std::optional<int64_t> parse_integer(std::string_view text) {
  if (const auto value = parse_whole<int64_t>(text)) return value;
  const auto number = parse_number(text);
  if (!number || *number != std::trunc(*number) || std::abs(*number) > kLargestExactInteger) return std::nullopt;
  // An integer with too many digits for 64 bits comes here too, but it exceeds kLargestExactInteger.
  return static_cast<int64_t>(*number);
}

std::string format_number(double value) {
  GRPO_CHECK(std::isfinite(value), "a configuration holds ", value,
             "; use std::optional for a value that may be absent");
  std::array<char, 32> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  GRPO_CHECK(error == std::errc(), "a double has at most 24 characters");
  std::string text(buffer.data(), end);
  const size_t exponent = text.find('e');
  // std::to_chars writes 1e-06; the leading 0 is dropped.
  if (exponent != std::string::npos && text[exponent + 2] == '0') text.erase(exponent + 2, 1);
  if (text.find('.') == std::string::npos) text.insert(std::min(exponent, text.size()), ".0");
  return text;
}

std::string format_text(const std::string& text) {
  if (can_be_plain(text)) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += escaped(c);
  return quoted + "\"";
}

}  // namespace grpo::config
