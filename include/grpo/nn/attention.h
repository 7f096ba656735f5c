#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "grpo/kernels/packed_attention.h"
#include "grpo/nn/packed_batch.h"

namespace grpo::nn {

/// Ways to compute packed attention with its gradient.
enum class AttentionKernel {
  // Sequences of similar length are padded and go through LibTorch's
  // scaled_dot_product_attention (on CUDA without cuDNN); any device and dtype.
  kPadded,
  kFlash,  // FlashAttention over cumulative lengths; bf16 on CUDA only
  kOwn,    // ours (kernels/packed_attention.h); fp32 and bf16 on the CPU only
};
std::string to_string(AttentionKernel kernel);
/// Whether kOwn computes there. Nothing else is as fast where it does.
bool has_own_attention(at::ScalarType dtype, at::Device device);

/// How packed rows are moved into padded segments and back, and which prompts are shared. It is made once per batch and
/// used by every layer.
struct AttentionPlan {
  struct Bucket {
    int64_t sequences = 0;
    int64_t length = 0;     // length of its longest sequence
    bool dense = false;     // every sequence has this length, so there is no padding
    bool in_place = false;  // the bucket is the whole batch, dense and in packed order, so nothing is moved
    at::Tensor gather;      // [sequences * length] int64: the packed row of each padded slot (padding repeats a row)
    at::Tensor valid;       // [rows of the bucket] int64: the slots that are not padding, sequence by sequence
    at::Tensor rows;  // [rows of the bucket] int64: the packed rows in these slots; defined where prompts are shared
  };
  /// A shared prompt and what continues it, as packed rows: the prompt is [begin, end), all its completions together
  /// are [end, last).
  struct Shared {
    int64_t begin = 0, end = 0, last = 0;
  };
  std::vector<Shared> shared;
  std::vector<Bucket> buckets;  // segments of similar length share a bucket
  // [T] int64: where each packed row is in the concatenated output of the buckets; undefined if it is in packed order.
  at::Tensor unsort;
  // For kernels over cumulative lengths:
  at::Tensor offsets;  // [S + 1] int32
  int64_t longest = 0;
  /// The rows on one side of the attention of completions to their shared prompts.
  struct Side {
    at::Tensor rows;     // [R] int64: the packed rows, prompt by prompt
    at::Tensor offsets;  // [number of prompts + 1] int32: where those of each prompt begin
    int64_t longest = 0;
  };
  Side completions, prompts;                    // defined where prompts are shared
  std::vector<kernels::PackedFamily> families;  // for kOwn
  AttentionKernel kernel = AttentionKernel::kPadded;
};

/// `offsets` [S + 1] and `shared` are those of PackedBatch.
AttentionPlan plan_attention(const std::vector<int64_t>& offsets, at::Device device,
                             AttentionKernel kernel = AttentionKernel::kPadded,
                             const std::vector<SharedPrompt>& shared = {});

/// Causal attention within each packed text, differentiable. queries: [T, heads, head_dim]; keys and values:
/// [T, kv_heads, head_dim]. Neighbouring query heads share a key head. Returns [T, heads, head_dim]. With
/// kPadded segments are padded on the right to the length of their bucket, where the causal mask hides the
/// padding from every real query. What continues a shared prompt attends, but with kOwn, to it and to itself in two
/// parts, which are merged (src/nn/shared_prompt_attention.h).
at::Tensor packed_attention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                            const AttentionPlan& plan, double scale);

struct AttentionHeads {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
};

/// Chooses the kernel to train with on `device`: kOwn where there is that, kPadded in fp32 on CUDA; for bf16 there the
/// fastest kernel whose result and gradients are right there. If LibTorch is set to deterministic algorithms, it is
/// kFlash if that is right, else kPadded, whatever their speed. cuDNN's attention over cumulative lengths is no
/// candidate, because LibTorch 2.11 builds its plan anew at every call. The trial is made once: the JSON file `memory`
/// keeps its result for the device's name, LibTorch's version and the heads. An empty path keeps nothing.
AttentionKernel choose_attention(const AttentionHeads& heads, at::ScalarType dtype, at::Device device,
                                 const std::filesystem::path& memory);

/// A way to compute attention in a trial: (queries, keys, values) -> result.
struct AttentionCandidate {
  AttentionKernel kernel;
  std::function<at::Tensor(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values)> attend;
};

/// The problem on which candidates are tried.
struct AttentionTrial {
  AttentionHeads heads;
  int64_t tokens = 0;
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
  double tolerance = 0.0;  // allowed error of a result and its gradients, relative to their largest magnitude
  bool in_order = false;   // take the first right candidate, not the fastest, so that no clock decides
  std::function<double()> clock = {};  // seconds; the system's steady clock unless a test brings its own
};

/// The candidate that is fastest, forward and backward, among those whose result and gradients agree with the
/// reference's. A candidate that throws is left out. kPadded if none is left.
AttentionKernel best_attention(const std::vector<AttentionCandidate>& candidates, const AttentionCandidate& reference,
                               const AttentionTrial& trial);

}  // namespace grpo::nn
