#pragma once

// The kernels here launch on CUDA's own streams, so they see CUDA's own header (its path comes from CMake).
#include GRPO_CUDA_RUNTIME_API
