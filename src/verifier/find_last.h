#pragma once

#include <algorithm>
#include <cstring>
#include <string_view>

namespace grpo::verifier {

/// text.rfind(what, from) at the speed of memrchr. The standard library's rfind compares at every byte of a long text.
/// REQUIRES: what has two bytes or more.
inline size_t find_last(std::string_view text, std::string_view what, size_t from = std::string_view::npos) {
  if (what.size() > text.size()) return std::string_view::npos;
  size_t end = std::min(from, text.size() - what.size()) + 1;
  while (end > 0) {
    size_t at = end - 1;
    if (text[at] != what[0]) {  // a text full of '<' needs no search for the next one
      const void* hit = ::memrchr(text.data(), what[0], end);
      if (hit == nullptr) break;
      at = static_cast<size_t>(static_cast<const char*>(hit) - text.data());
    }
    if (text[at + 1] == what[1] && text.compare(at, what.size(), what) == 0) return at;
    end = at;
  }
  return std::string_view::npos;
}

}  // namespace grpo::verifier
