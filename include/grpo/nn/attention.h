#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace grpo::nn {

/// Ways to compute packed attention with its gradient.
enum class AttentionKernel {
  kPadded,  // sequences of similar length side by side, through LibTorch's scaled_dot_product_attention; any device and
            // dtype
  kFlash,   // FlashAttention over cumulative lengths; bf16 on CUDA
};
std::string to_string(AttentionKernel kernel);

/// How packed rows are moved to padded sequences and back. It is made once for a batch and used by every layer.
struct AttentionPlan {
  struct Bucket {
    int64_t sequences = 0;
    int64_t length = 0;     // longest sequence of the bucket
    bool dense = false;     // every sequence is `length` long: no padding
    bool in_place = false;  // the bucket is the whole batch, dense and in packed order: nothing to gather
    at::Tensor gather;      // [sequences * length] int64: packed row of each padded slot (padding repeats a row)
    at::Tensor valid;       // [rows of the bucket] int64: the padded slots that are real, in packed order
  };
  std::vector<Bucket> buckets;  // neighbours in length share one
  at::Tensor unsort;  // [T] int64: where each packed row is in the buckets' concatenated output; undefined: in order
  // What kernels over cumulative lengths need.
  at::Tensor offsets;  // [S + 1] int32
  int64_t longest = 0;
  AttentionKernel kernel = AttentionKernel::kPadded;
};

/// offsets: [S + 1] as in PackedBatch.
AttentionPlan plan_attention(const std::vector<int64_t>& offsets, at::Device device,
                             AttentionKernel kernel = AttentionKernel::kPadded);

/// Causal attention inside each packed sequence, differentiable. queries: [T, heads, head_dim]; keys, values: [T,
/// kv_heads, head_dim]; heads are grouped over kv_heads. With kPadded sequences are padded on the right to the length
/// of their bucket, where the causal mask hides the padding from every real query.
at::Tensor packed_attention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                            const AttentionPlan& plan, double scale);

struct AttentionHeads {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
};

/// Chooses the kernel to train with on `device`: kPadded on the CPU and in fp32; for bf16 on CUDA the fastest one whose
/// result and gradients are right there. Where LibTorch is asked for deterministic algorithms it is kFlash if that is
/// right, else kPadded, whatever their speed. cuDNN's attention over cumulative lengths is not among the candidates,
/// because LibTorch 2.11 builds its plan anew at every call. The trial is made once: `memory`, a JSON file (empty:
/// none), keeps the answer for the device's name, LibTorch's version and the heads.
AttentionKernel choose_attention(const AttentionHeads& heads, at::ScalarType dtype, at::Device device,
                                 const std::filesystem::path& memory);

/// One way to compute attention in a trial: (queries, keys, values) -> result.
struct AttentionCandidate {
  AttentionKernel kernel;
  std::function<at::Tensor(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values)> attend;
};

/// The problem that candidates are tried on.
struct AttentionTrial {
  AttentionHeads heads;
  int64_t tokens = 0;
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
  double tolerance = 0.0;  // of a result and its gradients, as a share of their largest magnitude
  bool in_order = false;   // take the first candidate that is right, not the fastest, so that no clock decides
};

/// The fastest candidate, forward and backward, whose result and gradients agree with the reference's. A candidate that
/// throws is out. kPadded when all are.
AttentionKernel best_attention(const std::vector<AttentionCandidate>& candidates, const AttentionCandidate& reference,
                               const AttentionTrial& trial);

}  // namespace grpo::nn
