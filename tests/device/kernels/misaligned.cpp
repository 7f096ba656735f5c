// Our kernels are compiled with -fsanitize=alignment: a vector access that is not aligned, which stops a real device, ends up here.
#include <cstdint>
#include <string>

#include "device/host_device.h"

namespace {

// As the compiler lays them out.
struct Place {
  const char* file;
  uint32_t line, column;
};
struct Access {
  Place place;
  const void* type;
  unsigned char log_alignment;
  unsigned char kind;
};

}  // namespace

extern "C" void __ubsan_handle_type_mismatch_v1(const Access* access, uintptr_t address) {
  grpo::host_device::fault(std::string(access->place.file) + ":" + std::to_string(access->place.line) + ": an access of " +
                           std::to_string(1 << access->log_alignment) + " bytes that begins " +
                           std::to_string(address % (1u << access->log_alignment)) + " bytes off");
}
