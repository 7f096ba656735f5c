#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace grpo::reward {

/// A compiled PCRE2 pattern. Matching is thread-safe and bounded by a fixed match limit.
class Pattern {
 public:
  /// Throws base::ConfigError with the position and PCRE2's message.
  explicit Pattern(const std::string& text);
  ~Pattern();
  Pattern(Pattern&&) noexcept;

  struct Match {
    bool found = false;
    std::string failure = {};  // why it is not known whether the pattern matches; empty if it is known
  };
  /// Whether the pattern matches anywhere in the text. Bytes that are not UTF-8 match nothing.
  Match find(std::string_view text) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace grpo::reward
