#include "app/exit_code.h"

namespace grpo::app {
namespace {
int code_of_last_command = kDone;
}

void set_exit_code(int code) { code_of_last_command = code; }
int last_exit_code() { return code_of_last_command; }

}  // namespace grpo::app
