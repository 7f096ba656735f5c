# One precompiled header for every target that uses LibTorch: tensors, and none of the operators, which would add four seconds
# to the compilation of every source.
file(WRITE ${CMAKE_BINARY_DIR}/generated/torch_pch.cpp "")
add_library(grpo_torch_pch STATIC ${CMAKE_BINARY_DIR}/generated/torch_pch.cpp)
target_link_libraries(grpo_torch_pch PUBLIC grpo::torch)
target_compile_definitions(grpo_torch_pch PRIVATE AT_PER_OPERATOR_HEADERS)
target_precompile_headers(grpo_torch_pch PRIVATE <ATen/TensorOperators.h> <string> <vector> <map> <memory> <functional> <optional>)
