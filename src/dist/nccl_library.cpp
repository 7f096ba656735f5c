#include "dist/nccl_library.h"

#include <dlfcn.h>

#include <filesystem>

#include "grpo/base/error.h"

namespace grpo::dist {
namespace {

namespace fs = std::filesystem;

int driver_devices() {
  // Asks the driver itself, since loading LibTorch's CUDA part takes long. The driver's functions return 0 on success.
  void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) return 0;
  const auto start = reinterpret_cast<int (*)(unsigned)>(dlsym(driver, "cuInit"));
  const auto count = reinterpret_cast<int (*)(int*)>(dlsym(driver, "cuDeviceGetCount"));
  int found = 0;
  return start != nullptr && count != nullptr && start(0) == 0 && count(&found) == 0 ? found : 0;
}

struct Library {
  const NcclTable* table = nullptr;
  std::string problem;
};

Library open_library() {
  std::error_code ignored;
  const fs::path path =
      fs::read_symlink("/proc/self/exe", ignored).parent_path().parent_path() / "lib" / "libgrpo_nccl.so";
  if (!fs::exists(path, ignored))
    return {.table = nullptr, .problem = "this build has no NCCL (" + path.string() + ")"};
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (handle == nullptr) return {.table = nullptr, .problem = dlerror()};
  const auto entry = reinterpret_cast<decltype(&grpo_nccl)>(dlsym(handle, "grpo_nccl"));
  if (entry == nullptr) return {.table = nullptr, .problem = path.string() + " is of another version"};
  return {.table = entry(), .problem = entry()->version_problem()};
}

const Library& library() {
  static const Library opened = open_library();
  return opened;
}

}  // namespace

std::string nccl_problem(int64_t device) {
  const int devices = driver_devices();
  if (device >= devices)
    return devices == 0 ? kNoDevices : base::concat("there is no CUDA device ", device, " of its own, only ", devices);
  return library().problem;
}

c10::intrusive_ptr<c10d::Backend> make_nccl_group(const c10::intrusive_ptr<c10d::Store>& store, int64_t rank,
                                                  int64_t size, std::chrono::seconds timeout) {
  c10::intrusive_ptr<c10d::Backend> group;
  library().table->make(group, store, static_cast<int>(rank), static_cast<int>(size), timeout.count());
  return group;
}

}  // namespace grpo::dist
