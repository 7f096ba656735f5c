# What the modules besides the verifier's need: LibTorch and Arrow from CMAKE_PREFIX_PATH or from the cache that
# scripts/setup.sh fills, the rest from the system. find_package(grpo) of an installed trainer reads this file too.
include(${CMAKE_CURRENT_LIST_DIR}/GrpoCache.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/GrpoLibTorch.cmake)
if(GRPO_WITH_PARQUET)
  include(${CMAKE_CURRENT_LIST_DIR}/GrpoArrow.cmake)
endif()
find_package(nlohmann_json REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(LibLZMA REQUIRED)
find_package(ZLIB REQUIRED)
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET GLOBAL libpcre2-8)
pkg_check_modules(utf8proc REQUIRED IMPORTED_TARGET GLOBAL libutf8proc)
pkg_check_modules(sentencepiece REQUIRED IMPORTED_TARGET GLOBAL sentencepiece)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET GLOBAL libxxhash)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET GLOBAL libzstd)

# libcsv has neither a CMake package nor a .pc file.
find_path(GRPO_CSV_INCLUDE csv.h REQUIRED)
find_library(GRPO_CSV_LIBRARY csv REQUIRED)
if(NOT TARGET grpo_csv)
  add_library(grpo_csv INTERFACE IMPORTED GLOBAL)
  target_include_directories(grpo_csv INTERFACE ${GRPO_CSV_INCLUDE})
  target_link_libraries(grpo_csv INTERFACE ${GRPO_CSV_LIBRARY})
endif()

# GRPO_WITH_PROMETHEUS=AUTO builds the endpoint (logging.prometheus) where its libraries are installed.
if(NOT GRPO_WITH_PROMETHEUS STREQUAL "OFF")
  find_package(prometheus-cpp CONFIG QUIET)
  pkg_check_modules(microhttpd QUIET IMPORTED_TARGET GLOBAL libmicrohttpd)
  if(GRPO_WITH_PROMETHEUS STREQUAL "ON" AND NOT (prometheus-cpp_FOUND AND microhttpd_FOUND))
    message(FATAL_ERROR "GRPO_WITH_PROMETHEUS=ON but prometheus-cpp or libmicrohttpd was not found (Debian, Ubuntu: prometheus-cpp-dev libmicrohttpd-dev)")
  endif()
endif()

# GRPO_WITH_CURL=AUTO builds rewards over HTTP (reward.terms: type http) where libcurl is installed.
if(NOT GRPO_WITH_CURL STREQUAL "OFF")
  find_package(CURL QUIET)
  if(GRPO_WITH_CURL STREQUAL "ON" AND NOT CURL_FOUND)
    message(FATAL_ERROR "GRPO_WITH_CURL=ON but libcurl was not found (Debian, Ubuntu: libcurl4-openssl-dev)")
  endif()
endif()
