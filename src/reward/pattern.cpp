#include "reward/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "grpo/base/error.h"

namespace grpo::reward {
namespace {

constexpr uint32_t kMatchLimit = 2000000;  // backtracking steps, so that a runaway pattern ends

template <typename T, void (*release)(T*)>
struct Release {
  void operator()(T* pointer) const { release(pointer); }
};
using CodePointer = std::unique_ptr<pcre2_code, Release<pcre2_code, pcre2_code_free>>;
using DataPointer = std::unique_ptr<pcre2_match_data, Release<pcre2_match_data, pcre2_match_data_free>>;
using ContextPointer = std::unique_ptr<pcre2_match_context, Release<pcre2_match_context, pcre2_match_context_free>>;

std::string message_of(int error) {
  PCRE2_UCHAR message[256];
  pcre2_get_error_message(error, message, sizeof(message));
  return reinterpret_cast<const char*>(message);
}

bool is_over_budget(int error) {
  return error == PCRE2_ERROR_MATCHLIMIT || error == PCRE2_ERROR_DEPTHLIMIT || error == PCRE2_ERROR_HEAPLIMIT;
}

}  // namespace

struct Pattern::Code {
  CodePointer code;
};

Pattern::Pattern(const std::string& text) : code_(std::make_unique<Code>()) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  code_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                  PCRE2_UTF | PCRE2_MATCH_INVALID_UTF, &error, &offset, nullptr));
  if (code_->code) return;
  throw base::ConfigError(base::concat("reward.terms: pattern \"", text, "\": ", message_of(error), " at character ",
                                       offset, "; write a Perl-compatible regular expression"));
}

Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;

Pattern::Match Pattern::find(std::string_view text) const {
  const ContextPointer context(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_depth_limit(context.get(), kMatchLimit);
  const DataPointer data(pcre2_match_data_create(1, nullptr));
  const int result = pcre2_match(code_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0,
                                 data.get(), context.get());
  if (is_over_budget(result)) return {.failure = "its pattern takes too many steps on this text"};
  if (result < 0 && result != PCRE2_ERROR_NOMATCH)
    return {.failure = "its pattern cannot be matched against this text: " + message_of(result)};
  return {.found = result >= 0};
}

}  // namespace grpo::reward
