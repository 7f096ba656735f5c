// NCCL through c10d. It is a library of its own that is loaded at run time, so that the program does not link CUDA.
#include <dlfcn.h>

#include <cstdlib>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "dist/nccl_library.h"

// c10d's options contain NCCL's options, whose size depends on the header. So nccl.h must have the version with which
// LibTorch 2.11 was built: 2.28 (its wheel asks for 2.28.9).
static_assert(NCCL_MAJOR == 2 && NCCL_MINOR == 28, "LibTorch 2.11 needs nccl.h 2.28");

namespace grpo::dist {
namespace {

const char* version_problem() {
  const auto version_of = reinterpret_cast<ncclResult_t (*)(int*)>(dlsym(RTLD_DEFAULT, "ncclGetVersion"));
  int version = 0;
  if (version_of == nullptr || version_of(&version) != ncclSuccess) return "libnccl.so.2 does not tell its version";
  return version >= NCCL_VERSION(2, 28, 0) ? "" : "libnccl.so.2 is older than 2.28, which LibTorch 2.11 was built with";
}

// Lets c10d's watchdog end a process whose collective failed, and its flight recorder keep the last collectives for the
// message. Variables that the environment already sets keep their values.
void set_defaults() {
  const auto set = [](const char* name, const char* value) { setenv(name, value, /*overwrite=*/0); };
  set("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1");  // abort the communicator and end the process
  set("TORCH_NCCL_ENABLE_MONITORING", "1");
  set("TORCH_NCCL_DUMP_ON_TIMEOUT", "1");
  set("TORCH_NCCL_PROPAGATE_ERROR", "1");
  if (std::getenv("TORCH_NCCL_TRACE_BUFFER_SIZE") == nullptr) set("TORCH_FR_BUFFER_SIZE", "2000");
}

void make(c10::intrusive_ptr<c10d::Backend>& group, const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
          int64_t timeout_s) {
  set_defaults();
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = std::chrono::seconds(timeout_s);
  group = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size, options);
}

const NcclTable kTable = {.version_problem = version_problem, .make = make};

}  // namespace
}  // namespace grpo::dist

extern "C" const grpo::dist::NcclTable* grpo_nccl() { return &grpo::dist::kTable; }
