# The download cache outside the checkout: $GRPO_CACHE, else $XDG_CACHE_HOME/grpo-train, else ~/.cache/grpo-train. The same
# rule as in scripts/setup.sh: an empty variable counts as unset.
if(NOT "$ENV{GRPO_CACHE}" STREQUAL "")
  get_filename_component(GRPO_CACHE "$ENV{GRPO_CACHE}" ABSOLUTE)
elseif(NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
  set(GRPO_CACHE $ENV{XDG_CACHE_HOME}/grpo-train)
else()
  set(GRPO_CACHE $ENV{HOME}/.cache/grpo-train)
endif()

# A build folder remembers where it found libraries. If the cache moved or is gone, look again.
foreach(variable TORCH_INCLUDE_DIR TORCH_CPU_LIBRARY C10_LIBRARY TORCH_CUDA_LIBRARY ARROW_INCLUDE_DIR ARROW_LIBRARY PARQUET_LIBRARY)
  if(DEFINED CACHE{${variable}} AND NOT EXISTS "$CACHE{${variable}}")
    unset(${variable} CACHE)
  endif()
endforeach()
