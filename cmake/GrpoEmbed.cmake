# grpo_embed(<target> NAMESPACE <namespace> FILES <files>...)
# Compiles text files into the target, which declares and calls
#   std::string_view <namespace>::asset(std::string_view file_name);
# Run as a script (cmake -P) with OUTPUT, NAMESPACE and FILES it writes the source.
if(CMAKE_SCRIPT_MODE_FILE)
  set(cases "")
  foreach(file IN LISTS FILES)
    get_filename_component(name ${file} NAME)
    file(READ ${file} text)
    string(APPEND cases "  if (name == \"${name}\") return R\"grpo_asset(${text})grpo_asset\";\n")
  endforeach()
  file(WRITE ${OUTPUT} "#include <stdexcept>\n#include <string>\n#include <string_view>\n\nnamespace ${NAMESPACE} {\n\n"
       "std::string_view asset(std::string_view name) {\n${cases}"
       "  throw std::logic_error(\"no asset \" + std::string(name));\n}\n\n}  // namespace ${NAMESPACE}\n")
  return()
endif()

set(GRPO_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

function(grpo_embed target)
  cmake_parse_arguments(ARG "" "NAMESPACE" "FILES" ${ARGN})
  set(source ${CMAKE_CURRENT_BINARY_DIR}/assets.cpp)
  list(TRANSFORM ARG_FILES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  add_custom_command(OUTPUT ${source}
    COMMAND ${CMAKE_COMMAND} "-DOUTPUT=${source}" -DNAMESPACE=${ARG_NAMESPACE} "-DFILES=${ARG_FILES}" -P ${GRPO_EMBED_SCRIPT}
    DEPENDS ${ARG_FILES} ${GRPO_EMBED_SCRIPT} VERBATIM)
  target_sources(${target} PRIVATE ${source})
endfunction()
