#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace grpo::tokenizer {

/// What a pair of neighbouring tokens becomes, and how early: rank 0 merges first.
struct Merge {
  int32_t rank = -1;
  int32_t id = -1;
};

/// (left id, right id) -> Merge by open addressing.
class MergeTable {
 public:
  /// Room for `count` merges.
  explicit MergeTable(size_t count);

  /// The last merge given for a pair wins.
  void set(int32_t left, int32_t right, Merge merge);

  /// nullptr where the pair does not merge.
  const Merge* find(int32_t left, int32_t right) const {
    const uint64_t pair = key(left, right);
    for (size_t at = start(pair);; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.pair == pair) return &slot.merge;
      if (slot.pair == kEmpty) return nullptr;
    }
  }

 private:
  struct Slot {
    uint64_t pair = kEmpty;
    Merge merge;
  };
  static constexpr uint64_t kEmpty = UINT64_MAX;  // no pair of ids is that large

  static uint64_t key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
  }
  size_t start(uint64_t pair) const { return (pair * 0x9e3779b97f4a7c15u) >> shift_; }  // Fibonacci hashing

  std::vector<Slot> slots_;
  size_t mask_ = 0;
  int shift_ = 0;
};

}  // namespace grpo::tokenizer
