#pragma once

#include "kernels/cuda/flashinfer.cuh"
// These headers use what the one above declares and therefore come after it.
#include <flashinfer/attention/default_prefill_params.cuh>
#include <flashinfer/attention/prefill.cuh>

namespace grpo::kernels::cuda {

/// FlashInfer's causal prefill kernel on tensor cores. The query heads of one kv head and the tokens of a sequence
/// share a tile, so any group size fits.
template <uint32_t kHeadDim>
struct FlashInferPrefill {
  using Params = flashinfer::BatchPrefillPagedParams<Half, Half, Half, int32_t>;

  // The arguments that both plan functions end with, for `plan(...)`.
  template <typename Plan>
  static cudaError_t with_sizes(const HostPages& pages, cudaStream_t stream, const Plan& plan) {
    const auto tokens = static_cast<uint32_t>(pages.tokens());
    const auto sequences = static_cast<uint32_t>(pages.sequences);
    // Passes for a graph with as many tokens as sequences are decode steps, which add one token to each sequence.
    const int64_t uniform_q_len = pages.fixed && tokens == sequences ? 1 : 0;
    return plan(unconst(pages.query_offsets), unconst(pages.page_offsets), tokens, sequences,
                static_cast<uint32_t>(pages.heads), static_cast<uint32_t>(pages.kv_heads), kHeadDim, kHeadDim,
                static_cast<uint32_t>(pages.page_size), pages.fixed, static_cast<uint32_t>(sizeof(Half)),
                /*window_left=*/-1, /*fixed_split_size=*/-1, /*disable_split_kv=*/false,
                /*num_colocated_ctas=*/int64_t{0}, uniform_q_len, stream);
  }

  static WorkspaceBytes workspace(const HostPages& pages, cudaStream_t stream) {
    WorkspaceBytes bytes{};
    check(with_sizes(pages, stream,
                     [&](auto... sizes) {
                       return flashinfer::PrefillPlanWorkspaceSize<int32_t>(bytes.floats, bytes.ints, sizes...);
                     }),
          "prefill workspace");
    return bytes;
  }

  static Schedule plan(const HostPages& pages, const Workspace& workspace, cudaStream_t stream) {
    flashinfer::PrefillPlanInfo info;
    check(with_sizes(pages, stream,
                     [&](auto... sizes) {
                       return flashinfer::PrefillPlan<int32_t>(workspace.floats, workspace.float_bytes, workspace.ints,
                                                               workspace.host_ints, workspace.int_bytes, info,
                                                               sizes...);
                     }),
          "prefill plan");
    return info.ToVector();
  }

  template <uint32_t kTile>
  static cudaError_t launch(const Params& params, Half* partial, float* partial_sums, cudaStream_t stream) {
    return flashinfer::BatchPrefillWithPagedKVCacheDispatched<
        /*SAME_KV_STRIDES=*/true, kTile, kHeadDim, kHeadDim, flashinfer::PosEncodingMode::kNone,
        /*USE_FP16_QK_REDUCTION=*/false, flashinfer::MaskMode::kCausal, PlainAttention, Params>(
        params, partial, partial_sums, overlaps_launches(), stream);
  }

  static void run(const Schedule& schedule, const HostPages& sizes, const DevicePages& pages,
                  const Workspace& workspace, const AttentionOperands& operands, cudaStream_t stream) {
    flashinfer::PrefillPlanInfo info;
    info.FromVector(schedule);
    Params params(static_cast<Half*>(const_cast<void*>(operands.queries)), paged_kv(sizes, pages, operands, kHeadDim),
                  /*maybe_custom_mask=*/nullptr, unconst(pages.query_offsets), /*maybe_mask_indptr=*/nullptr,
                  /*maybe_q_rope_offset=*/nullptr, static_cast<Half*>(operands.out), /*lse=*/nullptr,
                  /*maybe_alibi_slopes=*/nullptr, static_cast<uint32_t>(sizes.heads),
                  /*q_stride_n=*/static_cast<int32_t>(sizes.heads * kHeadDim), /*q_stride_h=*/kHeadDim,
                  /*window_left=*/-1, /*logits_soft_cap=*/0.0f, operands.scale, /*rope_scale=*/1.0f,
                  /*rope_theta=*/1e4f);
    params.request_indices = at_offset<int32_t>(workspace.ints, info.request_indices_offset);
    params.qo_tile_indices = at_offset<int32_t>(workspace.ints, info.qo_tile_indices_offset);
    params.kv_tile_indices = at_offset<int32_t>(workspace.ints, info.kv_tile_indices_offset);
    params.o_indptr = at_offset<int32_t>(workspace.ints, info.o_indptr_offset);
    params.kv_chunk_size_ptr = at_offset<int32_t>(workspace.ints, info.kv_chunk_size_ptr_offset);
    params.padded_batch_size = static_cast<uint32_t>(info.padded_batch_size);
    params.max_total_num_rows = static_cast<uint32_t>(info.total_num_rows);
    if (info.enable_cuda_graph) {
      params.block_valid_mask = at_offset<bool>(workspace.ints, info.block_valid_mask_offset);
      params.total_num_rows = at_offset<uint32_t>(workspace.ints, info.total_num_rows_offset);
    }
    Half* partial = nullptr;  // without partial results the kernel writes `out` itself
    float* partial_sums = nullptr;
    if (info.split_kv) {
      params.merge_indptr = at_offset<int32_t>(workspace.ints, info.merge_indptr_offset);
      partial = at_offset<Half>(workspace.floats, info.v_offset);
      partial_sums = at_offset<float>(workspace.floats, info.s_offset);
    }
    switch (info.cta_tile_q) {
      case 16:
        return check(launch<16>(params, partial, partial_sums, stream), "prefill");
      case 64:
        return check(launch<64>(params, partial, partial_sums, stream), "prefill");
      case 128:
        return check(launch<128>(params, partial, partial_sums, stream), "prefill");
      default:
        throw std::runtime_error("FlashInfer prefill: tile " + std::to_string(info.cta_tile_q));
    }
  }

  static constexpr FlashInferKernel kernel() { return {workspace, plan, run}; }
};

}  // namespace grpo::kernels::cuda
