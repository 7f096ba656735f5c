# grpo::torch: LibTorch's CPU part as an imported target. It is looked for in CMAKE_PREFIX_PATH first, then in the cache.
# find_package(Torch) is not used: with a CUDA build of LibTorch it demands a whole CUDA toolkit, which a CPU host lacks.
set(GRPO_TORCH_VERSION 2.11.0)
set(GRPO_TORCH_CACHE ${GRPO_CACHE}/libtorch-${GRPO_TORCH_VERSION}/torch)

find_path(TORCH_INCLUDE_DIR ATen/ATen.h PATH_SUFFIXES include HINTS ${CMAKE_PREFIX_PATH} PATHS ${GRPO_TORCH_CACHE}
          NO_CMAKE_SYSTEM_PATH)
find_library(TORCH_CPU_LIBRARY torch_cpu PATH_SUFFIXES lib HINTS ${CMAKE_PREFIX_PATH} PATHS ${GRPO_TORCH_CACHE})
find_library(C10_LIBRARY c10 PATH_SUFFIXES lib HINTS ${CMAKE_PREFIX_PATH} PATHS ${GRPO_TORCH_CACHE})
find_library(TORCH_CUDA_LIBRARY torch_cuda PATH_SUFFIXES lib HINTS ${CMAKE_PREFIX_PATH} PATHS ${GRPO_TORCH_CACHE})
if(NOT TORCH_INCLUDE_DIR OR NOT TORCH_CPU_LIBRARY OR NOT C10_LIBRARY)
  message(FATAL_ERROR "LibTorch ${GRPO_TORCH_VERSION} was not found in ${GRPO_TORCH_CACHE}.\n"
                      "Run scripts/setup.sh to fetch it, or point CMAKE_PREFIX_PATH at an existing LibTorch.")
endif()
# The version is read from the headers, since a LibTorch in CMAKE_PREFIX_PATH may have another one than the cache.
file(STRINGS ${TORCH_INCLUDE_DIR}/torch/headeronly/version.h torch_version REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
string(REGEX REPLACE ".*MAJOR ([0-9]+).*MINOR ([0-9]+).*PATCH ([0-9]+).*" "\\1.\\2.\\3" GRPO_TORCH_FOUND_VERSION "${torch_version}")

# It is imported, so that installed libraries only name it, and those who use them find their own LibTorch.
add_library(grpo::torch INTERFACE IMPORTED GLOBAL)
target_include_directories(grpo::torch INTERFACE ${TORCH_INCLUDE_DIR} ${TORCH_INCLUDE_DIR}/torch/csrc/api/include)
target_link_libraries(grpo::torch INTERFACE ${TORCH_CPU_LIBRARY} ${C10_LIBRARY})
# The wheel's libraries find each other at run time by $ORIGIN. What else they need does not have to be found by our linker.
target_link_options(grpo::torch INTERFACE -Wl,--allow-shlib-undefined)
