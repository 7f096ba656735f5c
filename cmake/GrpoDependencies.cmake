# Third-party libraries: system packages, and LibTorch and Arrow from the cache that scripts/setup.sh fills.
include(GrpoCache)
include(GrpoLibTorch)

find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(LibLZMA REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(utf8proc REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(sentencepiece REQUIRED IMPORTED_TARGET sentencepiece)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)

# AUTO: the endpoint (logging.prometheus) is built where the library is installed.
if(NOT GRPO_WITH_PROMETHEUS STREQUAL "OFF")
  find_package(prometheus-cpp CONFIG QUIET)
  if(GRPO_WITH_PROMETHEUS STREQUAL "ON" AND NOT prometheus-cpp_FOUND)
    message(FATAL_ERROR "GRPO_WITH_PROMETHEUS=ON but prometheus-cpp was not found (Debian, Ubuntu: prometheus-cpp-dev)")
  endif()
endif()

# FLINT 3 contains Arb; before that Arb is a library of its own (Debian names it flint-arb).
find_path(FLINT_INCLUDE_DIR flint/flint.h REQUIRED)
find_library(FLINT_LIBRARY flint REQUIRED)
find_library(ARB_LIBRARY NAMES arb flint-arb)
add_library(grpo_flint INTERFACE)
add_library(grpo::flint ALIAS grpo_flint)
target_include_directories(grpo_flint SYSTEM INTERFACE ${FLINT_INCLUDE_DIR})
target_link_libraries(grpo_flint INTERFACE $<$<BOOL:${ARB_LIBRARY}>:${ARB_LIBRARY}> ${FLINT_LIBRARY} gmp)

if(GRPO_BUILD_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()

# AUTO: CUDA is built where its compiler is found. 90 is Hopper, 80 Ampere, 100 Blackwell.
if(NOT GRPO_WITH_CUDA STREQUAL "OFF")
  find_program(GRPO_NVCC nvcc PATHS /usr/local/cuda/bin)
endif()
if(GRPO_WITH_CUDA STREQUAL "ON" AND NOT GRPO_NVCC)
  message(FATAL_ERROR "GRPO_WITH_CUDA=ON but no nvcc was found; put it on PATH or use -DGRPO_WITH_CUDA=OFF")
endif()
if(GRPO_NVCC)
  set(CMAKE_CUDA_COMPILER ${GRPO_NVCC})
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80 90)
  endif()
  set(CMAKE_CUDA_STANDARD 17)  # CMake 3.25 knows no CUDA20 with this compiler
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
endif()
