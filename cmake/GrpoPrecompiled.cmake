# grpo_precompiled_headers(<name> HEADERS <headers>... LINKS <libraries>... [TORCH]) compiles headers once for all targets that
# grpo_reuse_headers(<target> <name>) names. Targets have to agree in -fPIC, so programs get it in place of -fPIE.
function(grpo_precompiled_headers name)
  cmake_parse_arguments(ARG "TORCH" "" "HEADERS;LINKS" ${ARGN})
  file(WRITE ${CMAKE_BINARY_DIR}/generated/${name}.cpp "")
  add_library(${name} STATIC ${CMAKE_BINARY_DIR}/generated/${name}.cpp)
  target_link_libraries(${name} PUBLIC ${ARG_LINKS})
  if(ARG_TORCH)
    grpo_torch_headers(${name})
  endif()
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
endfunction()

function(grpo_reuse_headers target name)
  target_precompile_headers(${target} REUSE_FROM ${name})
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "EXECUTABLE")
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${target} PRIVATE -fPIC)
  endif()
endfunction()

# Compiles a target against LibTorch's CPU part. A source includes the operators it calls (ATen/ops/...): AT_PER_OPERATOR_HEADERS
# keeps LibTorch's own headers from including all of them, and cmake/torch stands in the place of one that brings in too much.
function(grpo_torch_headers target)
  target_link_libraries(${target} PRIVATE grpo::torch)
  target_compile_definitions(${target} PRIVATE AT_PER_OPERATOR_HEADERS)
  target_include_directories(${target} BEFORE PRIVATE ${PROJECT_SOURCE_DIR}/cmake/torch)
endfunction()

# The headers have tensors but none of the operators, because even what a source does not use of them costs it some time.
set(GRPO_TORCH_HEADERS <ATen/TensorOperators.h> <algorithm> <filesystem> <functional> <map> <memory> <optional> <set> <span> <sstream>
                       <string> <variant> <vector>)
grpo_precompiled_headers(grpo_torch_pch TORCH HEADERS ${GRPO_TORCH_HEADERS} LINKS grpo::torch)
if(GRPO_BUILD_TESTS)
  set(GRPO_TEST_HEADERS <gmock/gmock.h> <gtest/gtest.h>)
  grpo_precompiled_headers(grpo_test_pch HEADERS ${GRPO_TEST_HEADERS} LINKS GTest::gmock)
  grpo_precompiled_headers(grpo_torch_test_pch TORCH HEADERS ${GRPO_TORCH_HEADERS} ${GRPO_TEST_HEADERS} LINKS grpo::torch GTest::gmock)
endif()
