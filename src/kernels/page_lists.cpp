#include "kernels/page_lists.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include "grpo/base/error.h"

namespace grpo::kernels {

at::Tensor last_page_lengths(const PagedLayout& host, int64_t page_size) {
  const int64_t sequences = host.context_lengths.size(0);
  const auto* lengths = host.context_lengths.const_data_ptr<int32_t>();
  const auto* offsets = host.page_offsets.const_data_ptr<int32_t>();
  auto last_lengths = at::empty({sequences}, at::kInt);
  auto* last = last_lengths.mutable_data_ptr<int32_t>();
  for (int64_t s = 0; s < sequences; ++s) {
    const int64_t pages = offsets[s + 1] - offsets[s], before = (pages - 1) * page_size;
    GRPO_CHECK(lengths[s] > before && lengths[s] <= before + page_size && pages >= 1, "a sequence of ", lengths[s],
               " tokens in ", pages, " pages of ", page_size);
    last[s] = static_cast<int32_t>(lengths[s] - before);
  }
  return last_lengths;
}

bool adds_one_token_each(const PagedLayout& host) {
  const auto* offsets = host.query_offsets.const_data_ptr<int32_t>();
  for (int64_t s = 0; s < host.query_offsets.size(0); ++s) {
    if (offsets[s] != s) return false;
  }
  return true;
}

PagedLayout send_layout(const PagedLayout& host, Upload& upload, int64_t capacity) {
  const size_t queries = upload.add(host.query_offsets), contexts = upload.add(host.context_lengths);
  const size_t offsets = upload.add(host.page_offsets), ids = upload.add(host.page_ids, capacity);
  upload.send();
  return {.query_offsets = upload[queries],
          .context_lengths = upload[contexts],
          .page_offsets = upload[offsets],
          .page_ids = upload[ids],
          .schedule = nullptr};
}

}  // namespace grpo::kernels
