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

  /// The next whole line without its line break, or nothing if no whole line is there yet.
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

  /// Takes out the bytes after the last whole line. REQUIRES: next() has returned nothing since the last append().
  std::string rest() {
    searched_ = 0;
    return std::exchange(bytes_, {});
  }
  /// The size of rest(). REQUIRES: as for rest().
  size_t rest_size() const { return bytes_.size(); }

 private:
  std::string bytes_;
  size_t begin_ = 0;     // where the next line begins
  size_t searched_ = 0;  // no line break is before this, so a long line is not searched from its start again
};

}  // namespace grpo::reward
