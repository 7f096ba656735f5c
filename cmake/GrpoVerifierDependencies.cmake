# What the verifier (modules base and verifier) needs. find_package(grpo) of an installed verifier reads this file too.
find_package(Threads REQUIRED)
find_package(spdlog REQUIRED)
find_package(PkgConfig REQUIRED)

# FLINT 3 contains Arb; before that Arb is a library of its own (Debian names it flint-arb).
find_path(FLINT_INCLUDE_DIR flint/flint.h REQUIRED)
find_library(FLINT_LIBRARY flint REQUIRED)
find_library(ARB_LIBRARY NAMES arb flint-arb)
if(NOT TARGET grpo::flint)
  add_library(grpo::flint INTERFACE IMPORTED GLOBAL)
  target_include_directories(grpo::flint INTERFACE ${FLINT_INCLUDE_DIR})
  target_link_libraries(grpo::flint INTERFACE $<$<BOOL:${ARB_LIBRARY}>:${ARB_LIBRARY}> ${FLINT_LIBRARY} gmp)
endif()
