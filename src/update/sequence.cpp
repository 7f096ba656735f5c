#include "grpo/update/sequence.h"

#include <algorithm>

#include "grpo/base/error.h"

namespace grpo::update {

Sequence sequence_of(const std::vector<int64_t>& prompt, const std::vector<int64_t>& completion) {
  Sequence sequence;
  sequence.ids = prompt;
  sequence.ids.insert(sequence.ids.end(), completion.begin(), completion.end());
  sequence.targets.assign(sequence.ids.size(), 1);
  std::fill_n(sequence.targets.begin(), prompt.size(), uint8_t{0});
  return sequence;
}

int64_t packed_length(const Sequence& sequence) {
  const auto last = std::find(sequence.targets.rbegin(), sequence.targets.rend(), uint8_t{1});
  GRPO_CHECK(last != sequence.targets.rend(), "a sequence of ", sequence.ids.size(), " ids has no target");
  return sequence.targets.rend() - last - 1;
}

}  // namespace grpo::update
