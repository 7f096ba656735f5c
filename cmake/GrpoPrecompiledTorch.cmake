# One precompiled header for every target that uses LibTorch.
file(WRITE ${CMAKE_BINARY_DIR}/generated/torch_pch.cpp "")
add_library(grpo_torch_pch STATIC ${CMAKE_BINARY_DIR}/generated/torch_pch.cpp)
target_link_libraries(grpo_torch_pch PUBLIC grpo::torch)
target_precompile_headers(grpo_torch_pch PRIVATE <ATen/ATen.h> <torch/csrc/autograd/custom_function.h>
                          <string> <vector> <map> <memory> <functional> <optional>)
