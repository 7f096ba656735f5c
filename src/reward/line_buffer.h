#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace grpo::reward {

/// Cuts a stream of bytes into lines.
class LineBuffer {
 public:
  void append(std::string_view bytes) { bytes_.append(bytes); }

  /// The next whole line, without its line break.
  std::optional<std::string> next() {
    const size_t end = bytes_.find('\n', searched_);
    if (end == std::string::npos) {
      bytes_.erase(0, begin_);
      begin_ = 0;
      searched_ = bytes_.size();
      return {};
    }
    std::string line = bytes_.substr(begin_, end - begin_);
    begin_ = searched_ = end + 1;
    return line;
  }

  /// What stands behind the last whole line, once next() has returned them all; it is taken out.
  std::string rest() {
    searched_ = 0;
    return std::exchange(bytes_, {});
  }
  /// Its size.
  size_t rest_size() const { return bytes_.size(); }

 private:
  std::string bytes_;
  size_t begin_ = 0;     // of the next line
  size_t searched_ = 0;  // where no line break is before: a long line is not searched from its start again
};

}  // namespace grpo::reward
