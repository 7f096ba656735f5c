# Most of the time of a clean build goes into the headers of LibTorch, JSON and the command line, which sources that are compiled as
# one read and instantiate once. Whoever changes single sources all day compiles less without it (the preset debug).
option(GRPO_UNITY "Compile up to 16 sources of a module as one" ON)

# grpo_module(<name> SOURCES <files>... [USES <modules>...] [LINKS <libraries>...] [TORCH])
# One static library per module, linked as grpo::<name>. USES lists the arrows of the module map (docs/architecture.md);
# TORCH adds LibTorch and the shared precompiled header.
function(grpo_module name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;USES;LINKS" ${ARGN})
  add_library(grpo_${name} STATIC ${ARG_SOURCES})
  add_library(grpo::${name} ALIAS grpo_${name})
  set_target_properties(grpo_${name} PROPERTIES EXPORT_NAME ${name})
  grpo_unity(grpo_${name})
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

function(grpo_unity target)
  if(GRPO_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
    # A class of one source may have members of types that only this source knows, which the compiler cannot see from outside of it.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()

# Compiles a target against LibTorch's CPU part, with a precompiled header.
function(grpo_use_torch target)
  grpo_torch_headers(${target})
  grpo_reuse_headers(${target} grpo_torch_pch)
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
    grpo_torch_headers(${target})
    grpo_reuse_headers(${target} grpo_torch_test_pch)
  else()
    grpo_reuse_headers(${target} grpo_test_pch)
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

# grpo_script_test(<name> <script> [ARGS <arguments>...] [TIMEOUT <seconds>] [PROPERTIES <name> <value>...])
# A test that is a Python script. Where no ARGS are given it gets the program and the source folder.
function(grpo_script_test name script)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  cmake_parse_arguments(ARG "" "TIMEOUT" "ARGS;PROPERTIES" ${ARGN})
  get_filename_component(script ${script} ABSOLUTE)
  if(NOT DEFINED ARG_ARGS)
    set(ARG_ARGS $<TARGET_FILE:grpo> ${PROJECT_SOURCE_DIR})
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_test(NAME ${name} COMMAND ${Python3_EXECUTABLE} ${script} ${ARG_ARGS})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} ${ARG_PROPERTIES})
endfunction()
