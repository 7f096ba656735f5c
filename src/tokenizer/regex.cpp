#include "tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <limits>
#include <mutex>

#include "grpo/base/error.h"
#include "tokenizer/regex_syntax.h"
#include "tokenizer/unicode.h"

namespace grpo::tokenizer {
namespace {

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
using Code = std::unique_ptr<pcre2_code, FreeCode>;

/// What one thread needs to run a match. The stack serves patterns that backtrack over long texts.
struct Scratch {
  static constexpr size_t kMinStack = 64 << 10, kMaxStack = 32 << 20;  // bytes; reserved, used on demand
  Scratch() {
    data = pcre2_match_data_create(1, nullptr);
    context = pcre2_match_context_create(nullptr);
    stack = pcre2_jit_stack_create(kMinStack, kMaxStack, nullptr);
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Scratch() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  pcre2_match_data* data;
  pcre2_match_context* context;
  pcre2_jit_stack* stack;
};

// A match of a pattern that tokenizers use takes a few steps for each byte. One that backtracks without end, as (3+)+$
// does, would take longer than anyone waits.
uint32_t match_limit(size_t text_bytes) {
  constexpr uint64_t kBase = 10'000'000, kForEachByte = 100;
  return static_cast<uint32_t>(
      std::min<uint64_t>(kBase + kForEachByte * text_bytes, std::numeric_limits<uint32_t>::max()));
}

std::string error_text(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

Code compile(const std::string& original, UnicodeProperties properties) {
  const std::string pattern = to_pcre2_syntax(original, properties);
  int error = 0;
  PCRE2_SIZE offset = 0;
  // Ruby's ^ and $ are always line anchors.
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                          PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &offset, nullptr));
  if (code == nullptr) {
    throw base::IoError(base::concat("regular expression ", original, ": ", error_text(error), " (at offset ", offset,
                                     " of ", pattern, ")"));
  }
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // without JIT the same code is interpreted
  return code;
}

}  // namespace

struct Regex::State {
  std::string pattern;
  Code native;
  mutable std::once_flag extended_once;
  mutable Code extended;

  /// Written-out properties are slow, so they serve only texts in which Unicode versions can differ.
  const pcre2_code* code_for(std::string_view text) const {
    if (!has_version_dependent_characters(text)) return native.get();
    std::call_once(extended_once, [this] { extended = compile(pattern, UnicodeProperties::kExtended); });
    return extended.get();
  }
};

Regex::Regex(std::string_view pattern) : state_(std::make_unique<State>()) {
  state_->pattern = pattern;
  state_->native = compile(state_->pattern, UnicodeProperties::kNative);
}
Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

void Regex::find_all(std::string_view text, std::vector<TextRange>& matches) const {
  thread_local Scratch scratch;
  const pcre2_code* code = state_->code_for(text);
  pcre2_set_match_limit(scratch.context, match_limit(text.size()));
  const PCRE2_SIZE* found = pcre2_get_ovector_pointer(scratch.data);
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  size_t from = 0;
  size_t previous_end = std::string_view::npos;
  while (from <= text.size()) {
    const auto match_with = [&](uint32_t options) {
      return pcre2_match(code, subject, text.size(), from, PCRE2_NO_UTF_CHECK | options, scratch.data, scratch.context);
    };
    int result = match_with(0);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = match_with(PCRE2_NO_JIT);  // slower, with the heap as its stack
    if (result == PCRE2_ERROR_NOMATCH) break;
    if (result == PCRE2_ERROR_MATCHLIMIT) {
      throw base::IoError(base::concat("regular expression ", state_->pattern,
                                       ": it backtracks without end on a text of ", text.size(),
                                       " bytes; a tokenizer with such a pattern cannot be used"));
    }
    if (result < 0) throw base::IoError("regular expression " + state_->pattern + ": " + error_text(result));
    const TextRange match{found[0], found[1]};
    if (match.size() == 0 && match.end == previous_end) {
      from += from < text.size() ? code_point_at(text, from).length : 1;
      continue;
    }
    matches.push_back(match);
    from = previous_end = match.end;
  }
}

}  // namespace grpo::tokenizer
