#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace grpo::tokenizer {

/// Bytes [begin, end) of a text.
struct TextRange {
  size_t begin = 0;
  size_t end = 0;
  size_t size() const { return end - begin; }
  bool operator==(const TextRange&) const = default;
};

/// A regular expression of a tokenizer.json: Oniguruma's Ruby syntax with the properties of Unicode 16, run by PCRE2.
/// Immutable; matching is thread-safe.
class Regex {
 public:
  /// Throws base::IoError with the pattern and the reason when it is malformed or uses an unsupported construct.
  explicit Regex(std::string_view pattern);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  /// Appends all successive matches in `text` (valid UTF-8) to `matches`: also empty ones, except where the match
  /// before ends at the same place.
  void find_all(std::string_view text, std::vector<TextRange>& matches) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Class items that belong to \w beside Oniguruma's where Hugging Face's tokenizers match with Rust's regular
/// expressions: the joiners between characters, which UTS 18 counts among a word's.
inline constexpr const char* kJoinControls = "\\x{200c}\\x{200d}";

/// The pattern that matches exactly `text`.
std::string escape_regex(std::string_view text);

}  // namespace grpo::tokenizer
