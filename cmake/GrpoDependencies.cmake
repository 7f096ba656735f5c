# Third-party libraries: system packages, and LibTorch and Arrow from the cache that scripts/setup.sh fills.
include(GrpoVerifierDependencies)
include(GrpoTrainerDependencies)
find_package(CLI11 REQUIRED)

if(GRPO_BUILD_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()
include(GrpoPrecompiled)

# GRPO_WITH_CUDA=AUTO builds CUDA where its compiler is found. Of the architectures 80 is Ampere, 90 Hopper, 100 Blackwell.
if(NOT GRPO_WITH_CUDA STREQUAL "OFF")
  find_program(GRPO_NVCC nvcc PATHS /usr/local/cuda/bin)
endif()
if(GRPO_WITH_CUDA STREQUAL "ON" AND NOT GRPO_NVCC)
  message(FATAL_ERROR "GRPO_WITH_CUDA=ON but no nvcc was found; put it on PATH or use -DGRPO_WITH_CUDA=OFF")
endif()
set(GRPO_HAS_CUDA OFF)
if(GRPO_NVCC)
  set(GRPO_HAS_CUDA ON)
  set(CMAKE_CUDA_COMPILER ${GRPO_NVCC})
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80 90)
  endif()
  set(CMAKE_CUDA_STANDARD 17)  # CMake 3.25 knows no CUDA20 with this compiler
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
endif()
