// Our kernels are compiled with -fsanitize=alignment: a vector access that is not aligned, which stops a real device,
// ends up here and in the error of the kernel.
#include <cstdint>
#include <stdexcept>
#include <string>

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
  const uintptr_t bytes = uintptr_t{1} << access->log_alignment;
  // To go on would be a fault of this machine too.
  throw std::runtime_error(std::string(access->place.file) + ":" + std::to_string(access->place.line) +
                           ": an access of " + std::to_string(bytes) + " bytes that begins " +
                           std::to_string(address % bytes) + " bytes off");
}
