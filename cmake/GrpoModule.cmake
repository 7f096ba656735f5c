# grpo_module(<name> SOURCES <files>... [USES <modules>...] [LINKS <libraries>...] [TORCH])
# One static library per module, linked as grpo::<name>. USES lists the arrows of the module map (docs/architecture.md);
# TORCH adds LibTorch and the shared precompiled header.
function(grpo_module name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;USES;LINKS" ${ARGN})
  add_library(grpo_${name} STATIC ${ARG_SOURCES})
  add_library(grpo::${name} ALIAS grpo_${name})
  set_target_properties(grpo_${name} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(grpo_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>
                             PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_features(grpo_${name} PUBLIC cxx_std_20)
  target_link_libraries(grpo_${name} PUBLIC ${ARG_LINKS})
  foreach(module IN LISTS ARG_USES)
    target_link_libraries(grpo_${name} PUBLIC grpo::${module})
  endforeach()
  if(ARG_TORCH)
    target_link_libraries(grpo_${name} PUBLIC grpo::torch)
    grpo_use_torch(grpo_${name})
  endif()
endfunction()

# Compiles a target against LibTorch's CPU part with the one precompiled header of the build.
function(grpo_use_torch target)
  target_link_libraries(${target} PRIVATE grpo::torch)
  target_precompile_headers(${target} REUSE_FROM grpo_torch_pch)
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "EXECUTABLE")
    # Programs would be compiled with -fPIE, and the compiler refuses a header that was precompiled with -fPIC.
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${target} PRIVATE -fPIC)
  endif()
endfunction()

# grpo_test(<module> SOURCES <files>... [USES <modules>...] [TORCH])
# One test program per module. Suites named Golden* carry the ctest label `golden`, those named Gpu* the label `gpu`: those of the
# modules in GRPO_GPU_TESTS_ON_HOST run on the host device (tests/device) where the machine has no GPU.
function(grpo_test name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;USES;LINKS" ${ARGN})
  set(target grpo_${name}_test)
  add_executable(${target} ${ARG_SOURCES})
  add_dependencies(grpo_unit_tests ${target})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${target} PRIVATE grpo::${name} grpo_test_support GTest::gmock GTest::gtest_main ${ARG_LINKS})
  foreach(module IN LISTS ARG_USES)
    target_link_libraries(${target} PRIVATE grpo::${module})
  endforeach()
  if(ARG_TORCH)
    grpo_use_torch(${target})
  endif()
  gtest_discover_tests(${target} TEST_PREFIX ${name}. TEST_FILTER "-Golden*:Gpu*" DISCOVERY_TIMEOUT 60
                       PROPERTIES TIMEOUT 900 LABELS ${name})
  gtest_discover_tests(${target} TEST_PREFIX ${name}. TEST_FILTER "Golden*" DISCOVERY_TIMEOUT 60
                       TEST_LIST ${target}_golden PROPERTIES TIMEOUT 900 LABELS golden)
  if(name IN_LIST GRPO_GPU_TESTS_ON_HOST)
    set(on_host ${GRPO_ON_HOST_DEVICE})
  endif()
  gtest_discover_tests(${target} TEST_PREFIX ${name}. TEST_FILTER "Gpu*" DISCOVERY_TIMEOUT 60
                       TEST_LIST ${target}_gpu PROPERTIES TIMEOUT 900 LABELS gpu ${on_host})
  if(on_host)
    add_dependencies(${target} grpo_host_operators grpo_kernels_cuda)
  endif()
endfunction()
