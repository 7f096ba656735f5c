// What FlashInfer's kernels would compute, from the very parameters that its launchers pass: pages, and the plan that
// its planner made and copied to the device.
#include <algorithm>
#include <cmath>
#include <vector>

#include "device/host_device.h"
#include "kernels/cuda/flashinfer.cuh"
// After what declares the kernels' types.
#include <flashinfer/attention/default_decode_params.cuh>
#include <flashinfer/attention/default_prefill_params.cuh>

namespace grpo::kernels::cuda {
namespace {

using DecodeParams = flashinfer::BatchDecodeParams<Half, Half, Half, int32_t>;
using PrefillParams = flashinfer::BatchPrefillPagedParams<Half, Half, Half, int32_t>;
using Pages = flashinfer::paged_kv_t<Half, int32_t>;

int64_t length_of(const Pages& pages, int64_t sequence) {
  const int64_t full = pages.indptr[sequence + 1] - pages.indptr[sequence];
  return full == 0 ? 0 : (full - 1) * static_cast<uint32_t>(pages.page_size) + pages.last_page_len[sequence];
}

// Where the head's entry for a token begins in keys and values.
int64_t place_of(const Pages& pages, int64_t sequence, int64_t position, int64_t kv_head) {
  const int64_t size = static_cast<uint32_t>(pages.page_size);
  const int64_t page = pages.indices[pages.indptr[sequence] + position / size];
  return page * pages.stride_page + position % size * pages.stride_n + kv_head * pages.stride_h;
}

struct Partial {
  std::vector<float> out;
  float log_sum;
};

// One query head over positions [begin, end) of a sequence.
Partial attend(const Half* query, const Pages& pages, int64_t sequence, int64_t kv_head, int64_t begin, int64_t end,
               float scale) {
  const auto d = static_cast<int64_t>(pages.head_dim);
  std::vector<float> scores;
  for (int64_t p = begin; p < end; ++p) {
    const Half* key = pages.k_data + place_of(pages, sequence, p, kv_head);
    float sum = 0.0f;
    for (int64_t i = 0; i < d; ++i) sum += __bfloat162float(query[i]) * __bfloat162float(key[i]);
    scores.push_back(sum * scale);
  }
  Partial result{std::vector<float>(static_cast<size_t>(d), 0.0f), -INFINITY};
  if (scores.empty()) return result;
  const float highest = *std::max_element(scores.begin(), scores.end());
  float total = 0.0f;
  for (int64_t p = begin; p < end; ++p) {
    const float weight = std::exp(scores[static_cast<size_t>(p - begin)] - highest);
    const Half* value = pages.v_data + place_of(pages, sequence, p, kv_head);
    for (int64_t i = 0; i < d; ++i) result.out[static_cast<size_t>(i)] += weight * __bfloat162float(value[i]);
    total += weight;
  }
  for (float& x : result.out) x /= total;
  result.log_sum = highest + std::log(total);
  return result;
}

// Row `row` of `out` and, where it is a part, of `log_sums`: [rows, heads, head_dim], [rows, heads].
template <typename Params>
void store(const Params& params, int64_t row, int64_t head, const Partial& partial) {
  const int64_t at = row * params.num_qo_heads + head, d = params.paged_kv.head_dim;
  for (int64_t i = 0; i < d; ++i) params.o[at * d + i] = __float2bfloat16(partial.out[static_cast<size_t>(i)]);
  if (params.lse != nullptr) params.lse[at] = partial.log_sum;
}

struct Range {
  int64_t begin, end;
};

// A block's share of a sequence's positions.
template <typename Params>
Range chunk(const Params& params, int64_t block, int64_t length) {
  if (!params.partition_kv) return {0, length};
  const int64_t size = *params.kv_chunk_size_ptr, tile = params.kv_tile_indices[block];
  return {std::min(tile * size, length), std::min((tile + 1) * size, length)};
}

void decode(const DecodeParams& params) {
  const int64_t group = params.num_qo_heads / params.paged_kv.num_heads;
  for (int64_t block = 0; block < params.padded_batch_size; ++block) {
    if (params.block_valid_mask != nullptr && !params.block_valid_mask[block]) continue;
    const int64_t sequence = params.request_indices[block];
    const auto [begin, end] = chunk(params, block, length_of(params.paged_kv, sequence));
    for (int64_t head = 0; head < params.num_qo_heads; ++head) {
      const Half* query = params.q + sequence * params.q_stride_n + head * params.q_stride_h;
      store(params, block, head, attend(query, params.paged_kv, sequence, head / group, begin, end, params.sm_scale));
    }
  }
}

// A block's rows are (token, query head of one kv head) pairs; tile: how many of them it has.
void prefill(const PrefillParams& params, int64_t tile) {
  const int64_t kv_heads = params.paged_kv.num_heads, group = params.num_qo_heads / kv_heads;
  for (int64_t block = 0; block < params.padded_batch_size; ++block) {
    if (params.block_valid_mask != nullptr && !params.block_valid_mask[block]) continue;
    const int64_t sequence = params.request_indices[block], first = params.q_indptr[sequence];
    const int64_t tokens = params.q_indptr[sequence + 1] - first, length = length_of(params.paged_kv, sequence);
    const auto [begin, end] = chunk(params, block, length);
    const int64_t chunks =
        params.partition_kv ? (length + *params.kv_chunk_size_ptr - 1) / *params.kv_chunk_size_ptr : 1;
    const int64_t packed = params.qo_tile_indices[block] * tile;
    for (int64_t i = packed; i < std::min(packed + tile, tokens * group); ++i) {
      const int64_t token = i / group, last = length - tokens + token + 1;
      const int64_t row =
          params.o_indptr[sequence] + (params.partition_kv ? token * chunks + params.kv_tile_indices[block] : token);
      for (int64_t kv_head = 0; kv_head < kv_heads; ++kv_head) {
        const int64_t head = kv_head * group + i % group;
        const Half* query = params.q + (first + token) * params.q_stride_n + head * params.q_stride_h;
        store(params, row, head,
              attend(query, params.paged_kv, sequence, kv_head, begin, std::max(begin, std::min(end, last)),
                     params.sm_scale));
      }
    }
  }
}

struct Parts {
  const Half* out;
  const float* log_sums;
  const int32_t* offsets;  // rows [offsets[r], offsets[r + 1]) make up row r
  Half* merged;
  uint32_t rows;
  const uint32_t* row_count;  // on the device, or null
  uint32_t heads;
  uint32_t head_dim;
};

void merge(const Parts& parts) {
  const int64_t rows = parts.row_count != nullptr ? *parts.row_count : parts.rows, d = parts.head_dim;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t head = 0; head < parts.heads; ++head) {
      float highest = -INFINITY, total = 0.0f;
      for (int64_t p = parts.offsets[row]; p < parts.offsets[row + 1]; ++p)
        highest = std::max(highest, parts.log_sums[p * parts.heads + head]);
      std::vector<float> sums(static_cast<size_t>(d), 0.0f);
      for (int64_t p = parts.offsets[row]; p < parts.offsets[row + 1]; ++p) {
        const float weight = std::exp(parts.log_sums[p * parts.heads + head] - highest);
        for (int64_t i = 0; i < d; ++i)
          sums[static_cast<size_t>(i)] += weight * __bfloat162float(parts.out[(p * parts.heads + head) * d + i]);
        total += weight;
      }
      for (int64_t i = 0; i < d; ++i)
        parts.merged[(row * parts.heads + head) * d + i] = __float2bfloat16(sums[static_cast<size_t>(i)] / total);
    }
  }
}

template <typename T>
const T& argument(void** arguments, int i) {
  return *static_cast<const T*>(arguments[i]);
}

std::vector<host_device::Span> spans(std::initializer_list<const void*> pointers) {
  std::vector<host_device::Span> memory;
  for (const void* pointer : pointers) {
    if (pointer != nullptr) memory.push_back({pointer, 1});
  }
  return memory;
}

template <typename Params>
std::vector<host_device::Span> memory_of(const Params& p) {
  return spans({p.q, p.o, p.lse, p.paged_kv.k_data, p.paged_kv.v_data, p.paged_kv.indices, p.paged_kv.indptr,
                p.paged_kv.last_page_len, p.request_indices, p.kv_tile_indices, p.o_indptr, p.kv_chunk_size_ptr,
                p.block_valid_mask});
}

host_device::Kernel decode_version(dim3, void** arguments) {
  const auto params = argument<DecodeParams>(arguments, 0);
  return {"FlashInfer decode", memory_of(params), [params] { decode(params); }};
}

template <int kTile>
host_device::Kernel prefill_version(dim3, void** arguments) {
  const auto params = argument<PrefillParams>(arguments, 0);
  return {"FlashInfer prefill", memory_of(params), [params] { prefill(params, kTile); }};
}

template <int kHeadDim>
host_device::Kernel merge_version(dim3, void** arguments) {
  const Parts parts{argument<Half*>(arguments, 0),    argument<float*>(arguments, 1),
                    argument<int32_t*>(arguments, 2), argument<Half*>(arguments, 3),
                    argument<uint32_t>(arguments, 5), argument<uint32_t*>(arguments, 6),
                    argument<uint32_t>(arguments, 7), kHeadDim};
  return {"FlashInfer merge", spans({parts.out, parts.log_sums, parts.offsets, parts.merged, parts.row_count}),
          [parts] { merge(parts); }};
}

// The symbols name the template's arguments: a tile of query rows, and the width and number of a merge's vectors.
__attribute__((constructor)) void add_versions() {
  using host_device::add_host_version;
  add_host_version("BatchDecodeWithPagedKVCacheKernelI", decode_version);
  add_host_version("BatchPrefillWithPagedKVCacheKernelILb1ENS_12KernelTraitsILNS_8MaskModeE1ELj16E",
                   prefill_version<16>);
  add_host_version("BatchPrefillWithPagedKVCacheKernelILb1ENS_12KernelTraitsILNS_8MaskModeE1ELj64E",
                   prefill_version<64>);
  add_host_version("BatchPrefillWithPagedKVCacheKernelILb1ENS_12KernelTraitsILNS_8MaskModeE1ELj128E",
                   prefill_version<128>);
  add_host_version("PersistentVariableLengthMergeStatesKernelILj8ELj8E", merge_version<64>);
  add_host_version("PersistentVariableLengthMergeStatesKernelILj8ELj16E", merge_version<128>);
}

}  // namespace
}  // namespace grpo::kernels::cuda
