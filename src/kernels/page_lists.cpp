#include "kernels/page_lists.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "grpo/base/error.h"

namespace grpo::kernels {

PageLists page_lists(const PagedLayout& host, int64_t page_size) {
  const int64_t sequences = host.context_lengths.size(0), max_pages = host.page_table.size(1);
  const auto* lengths = host.context_lengths.const_data_ptr<int32_t>();
  const auto* table = host.page_table.const_data_ptr<int32_t>();
  PageLists lists{.offsets = at::empty({sequences + 1}, at::kInt),
                  .ids = at::zeros({sequences * max_pages}, at::kInt),
                  .last_lengths = at::empty({sequences}, at::kInt)};
  auto* offsets = lists.offsets.mutable_data_ptr<int32_t>();
  auto* ids = lists.ids.mutable_data_ptr<int32_t>();
  auto* last = lists.last_lengths.mutable_data_ptr<int32_t>();
  offsets[0] = 0;
  for (int64_t s = 0; s < sequences; ++s) {
    const int64_t pages = (lengths[s] + page_size - 1) / page_size;
    GRPO_CHECK(pages >= 1 && pages <= max_pages, "a sequence of ", lengths[s], " tokens in ", max_pages, " pages of ", page_size);
    std::copy_n(table + s * max_pages, pages, ids + offsets[s]);
    offsets[s + 1] = static_cast<int32_t>(offsets[s] + pages);
    last[s] = static_cast<int32_t>(lengths[s] - (pages - 1) * page_size);
  }
  return lists;
}

bool adds_one_token_each(const PagedLayout& host) {
  const auto* offsets = host.query_offsets.const_data_ptr<int32_t>();
  for (int64_t s = 0; s < host.query_offsets.size(0); ++s) {
    if (offsets[s] != s) return false;
  }
  return true;
}

}  // namespace grpo::kernels
