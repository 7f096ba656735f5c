#pragma once

#include "kernels/cuda/flashinfer.cuh"
// These headers use what the one above declares and therefore come after it.
#include <flashinfer/attention/decode.cuh>
#include <flashinfer/attention/default_decode_params.cuh>

namespace grpo::kernels::cuda {

/// FlashInfer's decode kernel on plain arithmetic units, for passes that add one token to each sequence.
template <uint32_t kHeadDim>
struct FlashInferDecode {
  using Params = flashinfer::BatchDecodeParams<Half, Half, Half, int32_t>;
  static constexpr auto kNoPositions = flashinfer::PosEncodingMode::kNone;

  // Calls function(estimate) with FlashInfer's work estimation for the group size (query heads per kv head).
  template <typename Function>
  static cudaError_t with_estimate(int64_t group, const Function& function) {
    const auto call = [&](auto size) {
      return function(
          flashinfer::BatchDecodeWithPagedKVCacheWorkEstimationDispatched<decltype(size)::value, kHeadDim, kNoPositions,
                                                                          PlainAttention, Params>);
    };
    switch (group) {
      case 1:
        return call(std::integral_constant<uint32_t, 1>());
      case 2:
        return call(std::integral_constant<uint32_t, 2>());
      case 3:
        return call(std::integral_constant<uint32_t, 3>());
      case 4:
        return call(std::integral_constant<uint32_t, 4>());
      case 6:
        return call(std::integral_constant<uint32_t, 6>());
      case 8:
        return call(std::integral_constant<uint32_t, 8>());
      default:
        return cudaErrorInvalidValue;
    }
  }

  static WorkspaceBytes workspace(const HostPages& pages, cudaStream_t stream) {
    WorkspaceBytes bytes{};
    const cudaError_t status = with_estimate(pages.heads / pages.kv_heads, [&](auto estimate) {
      return flashinfer::DecodePlanWorkspaceSize<kHeadDim, kNoPositions, PlainAttention, Params>(
          bytes.floats, bytes.ints, unconst(pages.page_offsets), static_cast<uint32_t>(pages.sequences),
          static_cast<uint32_t>(pages.heads), static_cast<uint32_t>(pages.page_size), pages.fixed, stream, estimate);
    });
    check(status, "decode workspace");
    return bytes;
  }

  static Schedule plan(const HostPages& pages, const Workspace& workspace, cudaStream_t stream) {
    flashinfer::DecodePlanInfo info;
    const cudaError_t status = with_estimate(pages.heads / pages.kv_heads, [&](auto estimate) {
      return flashinfer::DecodePlan<kHeadDim, kNoPositions, PlainAttention, Params>(
          workspace.floats, workspace.float_bytes, workspace.ints, workspace.host_ints, workspace.int_bytes, info,
          unconst(pages.page_offsets), static_cast<uint32_t>(pages.sequences), static_cast<uint32_t>(pages.heads),
          static_cast<uint32_t>(pages.page_size), pages.fixed, stream, estimate);
    });
    check(status, "decode plan");
    return info.ToVector();
  }

  static void run(const Schedule& schedule, const HostPages& sizes, const DevicePages& pages,
                  const Workspace& workspace, const AttentionOperands& operands, cudaStream_t stream) {
    flashinfer::DecodePlanInfo info;
    info.FromVector(schedule);
    Params params(static_cast<Half*>(const_cast<void*>(operands.queries)), /*q_rope_offset=*/nullptr,
                  paged_kv(sizes, pages, operands, kHeadDim), static_cast<Half*>(operands.out), /*lse=*/nullptr,
                  /*maybe_alibi_slopes=*/nullptr, static_cast<uint32_t>(sizes.heads),
                  /*q_stride_n=*/static_cast<int32_t>(sizes.heads * kHeadDim), /*q_stride_h=*/kHeadDim,
                  /*window_left=*/-1, /*logits_soft_cap=*/0.0f, operands.scale, /*rope_scale=*/1.0f,
                  /*rope_theta=*/1e4f);
    params.request_indices = at_offset<int32_t>(workspace.ints, info.request_indices_offset);
    params.kv_tile_indices = at_offset<int32_t>(workspace.ints, info.kv_tile_indices_offset);
    params.o_indptr = at_offset<int32_t>(workspace.ints, info.o_indptr_offset);
    params.kv_chunk_size_ptr = at_offset<int32_t>(workspace.ints, info.kv_chunk_size_ptr_offset);
    params.padded_batch_size = static_cast<uint32_t>(info.padded_batch_size);
    if (info.split_kv && info.enable_cuda_graph)
      params.block_valid_mask = at_offset<bool>(workspace.ints, info.block_valid_mask_offset);
    // Without partial results the kernel writes `out` itself.
    auto* partial = info.split_kv ? at_offset<Half>(workspace.floats, info.v_offset) : nullptr;
    auto* partial_sums = info.split_kv ? at_offset<float>(workspace.floats, info.s_offset) : nullptr;
    check(flashinfer::BatchDecodeWithPagedKVCacheDispatched<kHeadDim, kNoPositions, PlainAttention, Params>(
              params, partial, partial_sums, overlaps_launches(), stream),
          "decode");
  }

  static constexpr FlashInferKernel kernel() { return {workspace, plan, run}; }
};

}  // namespace grpo::kernels::cuda
