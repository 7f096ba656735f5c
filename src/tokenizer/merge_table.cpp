#include "tokenizer/merge_table.h"

#include <algorithm>
#include <bit>

namespace grpo::tokenizer {

MergeTable::MergeTable(size_t count) {
  const size_t size = std::bit_ceil(std::max<size_t>(16, 2 * count + 1));
  slots_.resize(size);
  mask_ = size - 1;
  shift_ = 64 - std::countr_zero(size);
}

void MergeTable::set(int32_t left, int32_t right, Merge merge) {
  const uint64_t pair = key(left, right);
  size_t at = start(pair);
  while (slots_[at].pair != kEmpty && slots_[at].pair != pair) at = (at + 1) & mask_;
  slots_[at] = {pair, merge};
}

}  // namespace grpo::tokenizer
