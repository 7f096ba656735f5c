#include "kernels/cuda/flashinfer_decode.cuh"

namespace grpo::kernels::cuda {

const FlashInferKernel kDecode64 = FlashInferDecode<64>::kernel();

}  // namespace grpo::kernels::cuda
