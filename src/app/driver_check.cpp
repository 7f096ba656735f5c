#include "app/driver_check.h"

#include "grpo/base/error.h"

namespace grpo::app {
namespace {

std::string version_text(int cuda) { return base::concat(cuda / 1000, ".", cuda % 1000 / 10); }

}  // namespace

// From the CUDA Toolkit release notes, table "CUDA Toolkit and minimum required driver version for
// CUDA minor version compatibility".
int oldest_driver(int cuda_major) {
  switch (cuda_major) {
    case 11:
      return 450;
    case 12:
      return 525;
    case 13:
      return 580;
    default:
      return 0;
  }
}

std::string driver_line(const std::string& driver_name, int driver_cuda, int built_cuda) {
  const int major = built_cuda / 1000;
  const std::string has = base::concat(driver_name, ", up to CUDA ", version_text(driver_cuda), "; built for CUDA ",
                                       version_text(built_cuda));
  const int oldest = oldest_driver(major);
  const std::string needs =
      oldest == 0 ? base::concat("a driver for CUDA ", major) : base::concat("driver ", oldest, " or newer");
  if (driver_cuda / 1000 >= major) return has + ", which needs " + needs + ": fits";
  return has + ", which needs " + needs + ": TOO OLD; update the driver, or build with a LibTorch for CUDA " +
         std::to_string(driver_cuda / 1000) + " (docs/faq.md)";
}

}  // namespace grpo::app
