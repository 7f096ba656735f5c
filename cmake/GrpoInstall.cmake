# cmake --install, in three components:
#   program      bin/grpo, bin/grpo-train, lib/libgrpo_kernels_cuda.so, lib/libgrpo_nccl.so, share/grpo-train/ (configurations, licence)
#   bundle       lib/grpo-train/: every shared library that is not the C or C++ runtime, so that `program` runs anywhere
#   development  headers, archives and find_package(grpo)
# cpack packs program and bundle as .tar.gz and .deb.
include(GNUInstallDirs)
set(GRPO_BUNDLE_DIR lib/grpo-train)
get_filename_component(torch_lib ${TORCH_CPU_LIBRARY} DIRECTORY)
file(GLOB nvidia_folders ${torch_lib}/../../nvidia/*/lib)
# LibTorch's CUDA part needs all of CUDA and cuDNN. Where cuDNN is missing, CUDA can be built but not packed.
find_library(GRPO_CUDNN NAMES libcudnn.so.9 PATHS ${nvidia_folders})
set(package_cuda OFF)
if(GRPO_HAS_CUDA AND GRPO_CUDNN)
  set(package_cuda ON)
endif()
option(GRPO_PACKAGE_CUDA "Install the CUDA kernels with the CUDA libraries they need; OFF: a tree for CPUs only" ${package_cuda})

# DT_RPATH, unlike DT_RUNPATH, is also searched for what the libraries themselves need, as FLINT needs MPFR.
target_link_options(grpo PRIVATE -Wl,--disable-new-dtags)
set_target_properties(grpo PROPERTIES INSTALL_RPATH "$ORIGIN/../${GRPO_BUNDLE_DIR}")
install(TARGETS grpo RUNTIME_DEPENDENCY_SET bundle RUNTIME DESTINATION bin COMPONENT program)
install(FILES ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/grpo-train DESTINATION bin COMPONENT program)
install(DIRECTORY configs DESTINATION share/grpo-train COMPONENT program)
install(FILES LICENSE DESTINATION share/grpo-train COMPONENT program)
set(library_folders ${torch_lib} ${nvidia_folders})
if(GRPO_PACKAGE_CUDA)
  set_target_properties(grpo_kernels_cuda PROPERTIES INSTALL_RPATH "$ORIGIN/grpo-train")
  install(TARGETS grpo_kernels_cuda RUNTIME_DEPENDENCY_SET bundle LIBRARY DESTINATION lib COMPONENT program)
  if(TARGET grpo_nccl)
    set_target_properties(grpo_nccl PROPERTIES INSTALL_RPATH "$ORIGIN/grpo-train")
    install(TARGETS grpo_nccl RUNTIME_DEPENDENCY_SET bundle LIBRARY DESTINATION lib COMPONENT program)
  endif()
  list(APPEND library_folders ${CUDAToolkit_LIBRARY_DIR})
  # These libraries are loaded by name at run time, so they are not among the dependencies that CMake finds.
  get_filename_component(cudnn_folder ${GRPO_CUDNN} DIRECTORY)
  file(GLOB loaded_by_name ${cudnn_folder}/libcudnn_*.so.9 ${torch_lib}/libcaffe2_nvrtc.so ${torch_lib}/../../nvidia/*/lib/libnvrtc*.so.*
       ${CUDAToolkit_LIBRARY_DIR}/libnvrtc*.so.*)
  install(FILES ${loaded_by_name} DESTINATION ${GRPO_BUNDLE_DIR} COMPONENT bundle)
endif()
# The C and C++ runtimes and the driver's libraries are not installed: each machine has its own.
install(RUNTIME_DEPENDENCY_SET bundle
        PRE_EXCLUDE_REGEXES "^(libc|libm|libdl|librt|libpthread|libutil|libresolv|libstdc\\+\\+|libgcc_s|ld-linux.*)\\.so" "^libcuda\\.so" "^libnvidia-"
        DIRECTORIES ${library_folders}
        LIBRARY DESTINATION ${GRPO_BUNDLE_DIR} COMPONENT bundle)

set(modules config io metrics kernels tokenizer reward nn algo dist optim models data rollout checkpoint update trainer report)
list(TRANSFORM modules PREPEND grpo_)
install(TARGETS grpo_base grpo_verifier EXPORT grpo-verifier ARCHIVE DESTINATION ${GRPO_BUNDLE_DIR} COMPONENT development)
install(TARGETS ${modules} EXPORT grpo-trainer ARCHIVE DESTINATION ${GRPO_BUNDLE_DIR} COMPONENT development)
set(package_folder lib/cmake/grpo)
install(EXPORT grpo-verifier NAMESPACE grpo:: DESTINATION ${package_folder} COMPONENT development)
install(EXPORT grpo-trainer NAMESPACE grpo:: DESTINATION ${package_folder} COMPONENT development)
install(DIRECTORY include/grpo DESTINATION include COMPONENT development)
include(CMakePackageConfigHelpers)
configure_file(cmake/grpo-config.cmake.in ${CMAKE_BINARY_DIR}/generated/grpo-config.cmake @ONLY)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/generated/grpo-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/generated/grpo-config.cmake ${CMAKE_BINARY_DIR}/generated/grpo-config-version.cmake
              cmake/GrpoVerifierDependencies.cmake cmake/GrpoTrainerDependencies.cmake cmake/GrpoCache.cmake cmake/GrpoLibTorch.cmake
              cmake/GrpoArrow.cmake
        DESTINATION ${package_folder} COMPONENT development)

set(CPACK_GENERATOR TGZ DEB)
set(CPACK_PACKAGE_NAME grpo-train)
set(CPACK_PACKAGE_VENDOR "grpo-train")
set(CPACK_PACKAGE_CONTACT "the grpo-train authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Reinforcement learning of language models on problems whose answers can be checked")
set(CPACK_COMPONENTS_ALL program bundle)
set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
set(CPACK_COMPONENT_INCLUDE_TOPLEVEL_DIRECTORY ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_THREADS 0)
set(CPACK_PACKAGING_INSTALL_PREFIX "")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_CURRENT_SOURCE_DIR}/cmake/GrpoPackagePrefix.cmake)
# The package needs a C library at least as new as that of the machine on which it was built.
execute_process(COMMAND getconf GNU_LIBC_VERSION OUTPUT_VARIABLE libc_version OUTPUT_STRIP_TRAILING_WHITESPACE)
string(REGEX REPLACE "^[a-z]+ " "" libc_version "${libc_version}")
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libc6 (>= ${libc_version}), libstdc++6, libgcc-s1")
include(CPack)
