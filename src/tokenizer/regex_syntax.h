#pragma once

#include <string>
#include <string_view>

namespace grpo::tokenizer {

enum class UnicodeProperties {
  kNative,    // PCRE2's own tables
  kExtended,  // with the characters added by newer Unicode versions written out
};

/// Rewrites a pattern of Oniguruma's Ruby syntax for PCRE2 with PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE.
/// Throws base::IoError on constructs that have no counterpart (class intersection, nested classes, options behind the
/// beginning).
std::string to_pcre2_syntax(std::string_view pattern, UnicodeProperties properties);

}  // namespace grpo::tokenizer
