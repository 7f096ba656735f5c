#include "reward/stderr_log.h"

#include <utility>

#include "grpo/base/error.h"
#include "grpo/base/log.h"

namespace grpo::reward {
namespace {

constexpr size_t kLongestShown = 2000;
constexpr int64_t kPerMinute = 1000;
constexpr size_t kRemembered = 5;

}  // namespace

void StderrLog::append(std::string_view bytes) {
  buffer_.append(bytes);
  while (auto line = buffer_.next()) take(std::move(*line));
  if (buffer_.rest_size() > kLongestShown) take(buffer_.rest());
}

std::string StderrLog::last_lines() {
  if (buffer_.rest_size() > 0) take(buffer_.rest());
  if (last_.empty()) return "";
  std::string text = "; the last lines of its stderr:";
  for (const auto& line : last_) text += "\n  " + line;
  return text;
}

void StderrLog::take(std::string line) {
  if (line.size() > kLongestShown) line = line.substr(0, kLongestShown) + "...";
  if (may_write()) base::log_info(name_ + ": " + line);
  last_.push_back(std::move(line));
  if (last_.size() > kRemembered) last_.pop_front();
}

bool StderrLog::may_write() {
  if (Clock::now() - minute_ > std::chrono::minutes(1)) {
    if (omitted_ > 0)
      base::log_info(base::concat(name_, ": ", omitted_, " further lines of the last minute are left out"));
    minute_ = Clock::now();
    written_ = omitted_ = 0;
  }
  if (written_ == kPerMinute) {
    ++omitted_;
    return false;
  }
  ++written_;
  return true;
}

}  // namespace grpo::reward
