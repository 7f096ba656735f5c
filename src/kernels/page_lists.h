#pragma once

#include <ATen/core/Tensor.h>

#include "grpo/kernels/paged_kv.h"

namespace grpo::kernels {

/// A layout's pages without gaps: the pages of sequence s are ids[offsets[s] .. offsets[s + 1]). FlashInfer reads this form.
struct PageLists {
  at::Tensor offsets;       // [S + 1] int32
  at::Tensor ids;           // [S max_pages] int32; zero past the last list, so that its size depends on the table only
  at::Tensor last_lengths;  // [S] int32: tokens in a sequence's last page
};

/// host: a layout of host tensors whose sequences have at least one token each.
PageLists page_lists(const PagedLayout& host, int64_t page_size);

/// Whether each sequence of a layout of host tensors adds one token.
bool adds_one_token_each(const PagedLayout& host);

}  // namespace grpo::kernels
