# cmake -D SOURCE=FOLDER -D HEADER=FILE -P commit.cmake: writes the commit of a checkout to a C++ header, with "-dirty" behind it where tracked
# files differ from it, and an empty one where there is no git. It runs at every build, since a commit needs no new configuration, and
# does not touch a header that says the same already.
cmake_minimum_required(VERSION 3.22)
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
file(CONFIGURE OUTPUT ${HEADER} CONTENT "#define GRPO_COMMIT \"${commit}\"\n")
