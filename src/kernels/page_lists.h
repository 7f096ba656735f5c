#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "grpo/kernels/paged_kv.h"
#include "grpo/kernels/upload.h"

namespace grpo::kernels {

/// The tokens in each sequence's last page, [S] int32, as FlashInfer wants them beside the page lists. host: a layout
/// of host tensors whose sequences have at least one token each and exactly the pages they need (checked).
at::Tensor last_page_lengths(const PagedLayout& host, int64_t page_size);

/// Whether each sequence of a layout of host tensors adds one token.
bool adds_one_token_each(const PagedLayout& host);

/// Adds a layout to an upload, as its last tensors, and sends it. capacity: of page ids, see plan_attention().
PagedLayout send_layout(const PagedLayout& host, Upload& upload, int64_t capacity);

}  // namespace grpo::kernels
