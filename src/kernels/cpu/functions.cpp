#include "kernels/cpu/isa_functions.h"

namespace grpo::kernels::cpu::GRPO_ISA {

extern const Functions kFunctions;
const Functions kFunctions = {
    .name = GRPO_ISA_NAME,
    .linear = linear,
    .panel_width = kPanelWidth,
    .bf16_step = kBf16Step,
    .pack_panels_f32 = pack_panels<float>,
    .pack_panels_bf16 = pack_panels<BFloat16>,
    .copy_rows_f32 = copy_rows<float>,
    .copy_rows_bf16 = copy_rows<BFloat16>,
    .product_f32 = product<float, float>,
    .product_bf16 = product<BFloat16, BFloat16>,
    .product_bf16_f32 = product<BFloat16, float>,
    .add_f32 = add<float>,
    .add_bf16 = add<BFloat16>,
    .rms_norm_f32 = rms_norm<float>,
    .rms_norm_bf16 = rms_norm<BFloat16>,
    .rms_norm_backward_f32 = rms_norm_backward<float>,
    .rms_norm_backward_bf16 = rms_norm_backward<BFloat16>,
    .silu_mul_f32 = silu_mul<float>,
    .silu_mul_bf16 = silu_mul<BFloat16>,
    .silu_mul_backward_f32 = silu_mul_backward<float>,
    .silu_mul_backward_bf16 = silu_mul_backward<BFloat16>,
    .rope_f32 = rope<float>,
    .rope_bf16 = rope<BFloat16>,
    .attention_f32 = attention<float>,
    .attention_bf16 = attention<BFloat16>,
    .packed_attention_f32 = packed_attention<float>,
    .packed_attention_bf16 = packed_attention<BFloat16>,
    .packed_attention_backward_f32 = packed_attention_backward<float>,
    .packed_attention_backward_bf16 = packed_attention_backward<BFloat16>,
    .softmax = softmax,
    .block_max = block_max,
    .head_row_f32 = head_row<float>,
    .head_row_bf16 = head_row<BFloat16>,
    .head_gradient_f32 = head_gradient<float>,
    .head_gradient_bf16 = head_gradient<BFloat16>,
};

}  // namespace grpo::kernels::cpu::GRPO_ISA
