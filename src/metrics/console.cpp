#include "grpo/metrics/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>

#include "grpo/base/clock.h"
#include "grpo/base/error.h"
#include "grpo/base/log.h"

namespace grpo::metrics {
namespace {

constexpr auto kBetweenDrawings = std::chrono::milliseconds(100);

bool is_terminal() {
  const char* kind = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && kind != nullptr && std::string(kind) != "dumb";
}

// Of these variables the first that is set decides, as in setlocale.
bool terminal_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const std::string text = value;
    return text.find("UTF-8") != std::string::npos || text.find("utf8") != std::string::npos;
  }
  return false;
}

size_t terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// Terminal rows that lines of these widths take now. A terminal that was made narrower after drawing has wrapped them.
size_t rows_of(const std::vector<size_t>& widths, size_t columns) {
  size_t rows = 0;
  for (const size_t width : widths) rows += std::max<size_t>(1, (width + columns - 1) / columns);
  return rows;
}

}  // namespace

Console::Console(ConsoleMode mode)
    : mode_(mode), live_(mode == ConsoleMode::kAuto && is_terminal()), utf8_(terminal_is_utf8()) {
  base::set_quiet(mode == ConsoleMode::kQuiet);
  if (live_ || mode == ConsoleMode::kJson) {
    base::log_through([this](const std::string& level, const std::string& text) { message(level, text); });
  }
}

Console::~Console() {
  base::log_through({});
  base::set_quiet(false);
}

void Console::show(const Status& status, bool now) {
  if (!live_) return;
  const std::lock_guard lock(mutex_);
  const auto time = std::chrono::steady_clock::now();
  if (!now && time - drawn_ < kBetweenDrawings) return;
  status_ = status;
  has_status_ = true;
  drawn_ = time;
  write("");
}

void Console::step_line(const std::string& text) {
  if (!live_ && mode_ != ConsoleMode::kJson) base::log_info(text);
}

void Console::metrics_line(int64_t step, double time, const MetricsLine& line) {
  if (mode_ != ConsoleMode::kJson) return;
  const std::string text = to_json_text(step, time, line);
  if (std::printf("%s\n", text.c_str()) < 0 || std::fflush(stdout) != 0) {
    const int reason = errno;
    std::clearerr(stdout);
    throw base::IoError(base::concat("stdout: a metrics line could not be written: ", std::strerror(reason)));
  }
}

void Console::message(const std::string& level, const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (!live_) {
    const nlohmann::ordered_json object = {{"time", std::time(nullptr)}, {"level", level}, {"message", text}};
    std::fprintf(stderr, "%s\n", object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return;
  }
  write(base::clock_time() + " " + level + " " + text + "\n");
}

// Moves back over the block, then writes the text that belongs above it and the block again. This is one write, so
// that the block does not flicker.
void Console::write(const std::string& above) {
  const size_t columns = terminal_columns();
  std::string out;
  if (const size_t rows = rows_of(widths_drawn_, columns); rows > 0)
    // Escape codes: up by `rows` to the first column, then clear everything below.
    out += "\x1b[" + std::to_string(rows) + "F\x1b[J";
  out += above;
  widths_drawn_.clear();
  if (has_status_) {
    for (const auto& line : render_status(status_, columns > 1 ? columns - 1 : 1, utf8_)) {
      out += line + "\n";
      widths_drawn_.push_back(display_width(line));
    }
  }
  std::fputs(out.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace grpo::metrics
