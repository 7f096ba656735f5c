#include "grpo/tokenizer/tokenizer.h"

namespace grpo::tokenizer {
namespace {

constexpr std::string_view kReplacement = "\ufffd";

}  // namespace

// A token's text can depend on the one before it (the first word of a text has no leading space), so new ids are
// decoded together with the last ones, and the text handed out is the difference.
std::optional<std::string> DecodeStream::push(int64_t id) {
  if (done_text_.empty() && !window_.empty()) {
    std::string text = tokenizer_.decode(window_, skip_special_);
    if (!text.ends_with(kReplacement)) {
      done_text_ = std::move(text);
      window_done_ = window_.size();
    }
  }
  window_.push_back(id);
  const std::string text = tokenizer_.decode(window_, skip_special_);
  if (text.size() <= done_text_.size() || text.ends_with(kReplacement)) return std::nullopt;
  // A bad byte after good ones can turn these into U+FFFD as well; what was handed out stays, the rest follows alone.
  std::string fresh = text.starts_with(done_text_)
                          ? text.substr(done_text_.size())
                          : tokenizer_.decode(std::span(window_).subspan(window_done_), skip_special_);
  window_.erase(window_.begin(), window_.begin() + static_cast<ptrdiff_t>(window_done_));
  window_done_ = window_.size();
  done_text_ = tokenizer_.decode(window_, skip_special_);
  return fresh;
}

std::string DecodeStream::finish() {
  const std::string text = tokenizer_.decode(window_, skip_special_);
  std::string rest;
  if (text.starts_with(done_text_)) {
    rest = text.substr(done_text_.size());
  } else {
    rest = tokenizer_.decode(std::span(window_).subspan(window_done_), skip_special_);
  }
  window_.clear();
  window_done_ = 0;
  done_text_.clear();
  return rest;
}

}  // namespace grpo::tokenizer
