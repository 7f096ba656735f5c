#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace grpo::tokenizer {

/// Tokens and their ids, both ways. One block of text and an open-addressing table, because an allocation for each of
/// 150k tokens would make loading slow.
class Vocabulary {
 public:
  static constexpr int64_t kMaxId = 1 << 24;

  /// The last text given for an id, and the last id given for a text, win. Throws base::IoError on an id out of range.
  void add(std::string_view token, int64_t id);

  std::optional<int32_t> id(std::string_view token) const;
  /// Empty optional for an id without a token. The view lives as long as the vocabulary is unchanged.
  std::optional<std::string_view> token(int64_t id) const;

  int64_t num_tokens() const { return num_tokens_; }
  /// One more than the largest id.
  int64_t id_end() const { return static_cast<int64_t>(entries_.size()); }

 private:
  struct Entry {
    uint32_t offset = 0;
    uint32_t length = kAbsent;
  };
  struct Slot {
    uint32_t hash = 0;
    int32_t id = -1;
  };
  static constexpr uint32_t kAbsent = UINT32_MAX;

  std::string_view text(const Entry& entry) const { return std::string_view(text_).substr(entry.offset, entry.length); }
  size_t find_slot(std::string_view token, uint32_t hash) const;
  void grow();

  std::string text_;
  std::vector<Entry> entries_;  // by id
  std::vector<Slot> slots_;     // a power of two, at most half full
  int64_t num_tokens_ = 0;
};

}  // namespace grpo::tokenizer
