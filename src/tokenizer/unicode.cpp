#include "tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>

#include "tokenizer/unicode_tables.h"

namespace grpo::tokenizer {
namespace {

constexpr char32_t kMongolianVowelSeparator = 0x180e;  // a space in PCRE2, not in Unicode

template <typename Range>
const Range* find_range(std::span<const Range> ranges, char32_t c) {
  const auto next = std::upper_bound(ranges.begin(), ranges.end(), c,
                                     [](char32_t value, const Range& range) { return value < range.first; });
  if (next == ranges.begin()) return nullptr;
  const Range& candidate = *std::prev(next);
  return c <= candidate.last ? &candidate : nullptr;
}

/// Length of the well-formed character at the start of `bytes`; 0 if there is none, and then `bad` is the length of the
/// maximal part to replace.
size_t well_formed_length(std::string_view bytes, size_t& bad) {
  const auto byte = [&](size_t i) { return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0u; };
  const unsigned lead = byte(0);
  bad = 1;
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // The second byte's range keeps out overlong forms, surrogates and code points above U+10FFFF.
  const unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < low || byte(1) > high) return 0;
  for (bad = 2; bad < length; ++bad) {
    if ((byte(bad) & 0xc0) != 0x80) return 0;
  }
  return length;
}

size_t ascii_prefix(std::string_view text) {
  size_t i = 0;
  for (uint64_t word; i + 8 <= text.size(); i += 8) {
    std::memcpy(&word, text.data() + i, 8);
    if ((word & 0x8080808080808080u) != 0) break;
  }
  while (i < text.size() && static_cast<unsigned char>(text[i]) < 0x80) ++i;
  return i;
}

}  // namespace

CodePoint code_point_at(std::string_view text, size_t position) {
  const auto byte = [&](size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[position + i])); };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xe0) return {(lead & 0x1f) << 6 | (byte(1) & 0x3f), 2};
  if (lead < 0xf0) return {(lead & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f), 3};
  return {(lead & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f), 4};
}

void append_utf8(std::string& text, char32_t c) {
  const auto tail = [&](int shift) { text += static_cast<char>(0x80 | ((c >> shift) & 0x3f)); };
  if (c < 0x80) {
    text += static_cast<char>(c);
  } else if (c < 0x800) {
    text += static_cast<char>(0xc0 | (c >> 6));
    tail(0);
  } else if (c < 0x10000) {
    text += static_cast<char>(0xe0 | (c >> 12));
    tail(6), tail(0);
  } else {
    text += static_cast<char>(0xf0 | (c >> 18));
    tail(12), tail(6), tail(0);
  }
}

bool is_ascii(std::string_view text) { return ascii_prefix(text) == text.size(); }

bool is_valid_utf8(std::string_view bytes) {
  size_t bad = 0;
  while (!bytes.empty()) {
    bytes.remove_prefix(ascii_prefix(bytes));
    if (bytes.empty()) break;
    const size_t length = well_formed_length(bytes, bad);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

std::string to_valid_utf8(std::string bytes) {
  if (is_valid_utf8(bytes)) return bytes;
  std::string text;
  text.reserve(bytes.size() + 16);
  for (std::string_view rest = bytes; !rest.empty();) {
    size_t bad = 0;
    const size_t length = well_formed_length(rest, bad);
    if (length == 0) {
      append_utf8(text, 0xfffd);
      rest.remove_prefix(std::min(bad, rest.size()));
    } else {
      text.append(rest.substr(0, length));
      rest.remove_prefix(length);
    }
  }
  return text;
}

bool is_white_space(char32_t c) { return find_range(white_space(), c) != nullptr; }

std::string_view strip_white_space_left(std::string_view text) {
  while (!text.empty()) {
    const CodePoint c = code_point_at(text, 0);
    if (!is_white_space(c.value)) break;
    text.remove_prefix(c.length);
  }
  return text;
}

std::string_view strip_white_space_right(std::string_view text) {
  while (!text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
    if (!is_white_space(code_point_at(text, begin).value)) break;
    text.remove_suffix(text.size() - begin);
  }
  return text;
}

bool has_version_dependent_characters(std::string_view text) {
  for (size_t i = ascii_prefix(text); i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    i += c.length;
    const bool common = c.value < 0x897 || (c.value >= 0x3200 && c.value < 0xa7cb);  // most scripts and Han
    if (common) continue;
    if (c.value == kMongolianVowelSeparator || find_range(categories_assigned_after_14(), c.value) != nullptr)
      return true;
  }
  return false;
}

bool is_unknown_to_normalization(char32_t c) { return c >= 0x300 && find_range(assigned_after_9(), c) != nullptr; }

std::string to_lower(std::string_view text) {
  std::string lower;
  lower.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    i += c.length;
    if (c.value == 0x130) {
      lower += "i\u0307";  // the one character whose lower case is two characters
    } else if (const CaseRange* range = find_range(lower_case_after_15(), c.value)) {
      append_utf8(lower, c.value + range->lower_offset);
    } else {
      append_utf8(lower, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c.value))));
    }
  }
  return lower;
}

}  // namespace grpo::tokenizer
