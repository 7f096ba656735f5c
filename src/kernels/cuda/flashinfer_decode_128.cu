#include "kernels/cuda/flashinfer_decode.cuh"

namespace grpo::kernels::cuda {

const FlashInferKernel kDecode128 = FlashInferDecode<128>::kernel();

}  // namespace grpo::kernels::cuda
