#include "kernels/cuda/flashinfer_prefill.cuh"

namespace grpo::kernels::cuda {

const FlashInferKernel kPrefill64 = FlashInferPrefill<64>::kernel();

}  // namespace grpo::kernels::cuda
