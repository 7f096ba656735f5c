#include "kernels/cuda/flashinfer_prefill.cuh"

namespace grpo::kernels::cuda {

const FlashInferKernel kPrefill128 = FlashInferPrefill<128>::kernel();

}  // namespace grpo::kernels::cuda
