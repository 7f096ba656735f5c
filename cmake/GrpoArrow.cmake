# grpo::arrow: Apache Arrow C++ with Parquet. It is looked for in CMAKE_PREFIX_PATH first, then in the cache, which holds the
# unpacked wheel.
set(GRPO_ARROW_CACHE ${GRPO_CACHE}/libtorch-${GRPO_TORCH_VERSION}/pyarrow)

find_path(ARROW_INCLUDE_DIR parquet/arrow/reader.h PATH_SUFFIXES include HINTS ${CMAKE_PREFIX_PATH} PATHS ${GRPO_ARROW_CACHE}
          NO_CMAKE_SYSTEM_PATH)
if(NOT ARROW_INCLUDE_DIR)
  message(FATAL_ERROR "Apache Arrow was not found in ${GRPO_ARROW_CACHE}.\n"
                      "Run scripts/setup.sh to fetch it, point CMAKE_PREFIX_PATH at an existing one, "
                      "or build without Parquet: -DGRPO_WITH_PARQUET=OFF")
endif()
# The wheel has no links such as libarrow.so, so the number at the end of the libraries' names is read from the headers.
file(STRINGS ${ARROW_INCLUDE_DIR}/arrow/util/config.h ARROW_SO_VERSION REGEX "define ARROW_SO_VERSION")
string(REGEX REPLACE ".*\"([0-9]+)\".*" "\\1" ARROW_SO_VERSION "${ARROW_SO_VERSION}")
get_filename_component(ARROW_ROOT ${ARROW_INCLUDE_DIR} DIRECTORY)
foreach(library arrow parquet)
  string(TOUPPER ${library} upper)
  find_library(${upper}_LIBRARY NAMES lib${library}.so.${ARROW_SO_VERSION} ${library} PATHS ${ARROW_ROOT} PATH_SUFFIXES lib
               NO_DEFAULT_PATH REQUIRED)
endforeach()

add_library(grpo::arrow INTERFACE IMPORTED GLOBAL)
target_include_directories(grpo::arrow INTERFACE ${ARROW_INCLUDE_DIR})
target_link_libraries(grpo::arrow INTERFACE ${PARQUET_LIBRARY} ${ARROW_LIBRARY})
target_link_options(grpo::arrow INTERFACE -Wl,--allow-shlib-undefined)
