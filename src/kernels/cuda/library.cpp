#include <ATen/Context.h>
#include <dlfcn.h>

#include <atomic>
#include <filesystem>

#include "grpo/base/error.h"
#include "grpo/kernels/cuda.h"
#include "kernels/cuda/kernel_table.h"

namespace grpo::kernels {
namespace {

namespace fs = std::filesystem;

struct Library {
  const cuda::KernelTable* table = nullptr;
  std::string problem;
};

// In ../lib beside the program, in the build folder and where both are installed.
fs::path library_path() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/exe", ignored).parent_path().parent_path() / "lib" / "libgrpo_kernels_cuda.so";
}

Library open_library() {
  const fs::path path = library_path();
  if (!has_cuda_library())
    return {.table = nullptr, .problem = "this build has no CUDA kernels (" + path.string() + ")"};
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (handle == nullptr) return {.table = nullptr, .problem = dlerror()};
  const auto table = reinterpret_cast<decltype(&grpo_cuda_kernels)>(dlsym(handle, "grpo_cuda_kernels"));
  if (table == nullptr) return {.table = nullptr, .problem = path.string() + " is of another version"};
  if (cuda_device_count() > 0 && !at::hasCUDA())
    return {.table = nullptr,
            .problem = "LibTorch cannot use the device that the driver offers (too old a driver? grpo doctor tells)"};
  // Where a product of bf16 is split over K, its parts are added in fp32.
  at::globalContext().setAllowBF16ReductionCuBLAS(/*allow_reduced_precision=*/false);
  // On Hopper and later LibTorch 2.11 prefers cuDNN's attention, which builds a plan for each pair of batch size and
  // length and keeps all of them. Padded batches hardly ever repeat such a pair.
  at::globalContext().setSDPUseCuDNN(false);
  return {.table = table(), .problem = ""};
}

// Null where the driver is not installed.
template <typename Function>
Function driver_function(const char* name) {
  static void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  return driver == nullptr ? nullptr : reinterpret_cast<Function>(dlsym(driver, name));
}

// Set once the library is open, because push_range() and pop_range() ask often and must not open it.
std::atomic<const cuda::KernelTable*> loaded = nullptr;

const Library& library() {
  static const Library opened = [] {
    Library found = open_library();
    loaded = found.table;
    return found;
  }();
  return opened;
}

}  // namespace

int cuda_device_count() {
  static const int count = [] {
    // Functions of the driver return 0 when they succeed.
    const auto start = driver_function<int (*)(unsigned)>("cuInit");
    const auto count_devices = driver_function<int (*)(int*)>("cuDeviceGetCount");
    int found = 0;
    return start != nullptr && count_devices != nullptr && start(0) == 0 && count_devices(&found) == 0 ? found : 0;
  }();
  return count;
}

bool has_cuda_library() {
  std::error_code ignored;
  return fs::exists(library_path(), ignored);
}

std::string cuda_device_name(int device) {
  const auto name_of = driver_function<int (*)(char*, int, int)>("cuDeviceGetName");
  char name[256] = "";
  if (device >= cuda_device_count() || name_of == nullptr || name_of(name, sizeof name, device) != 0)
    throw base::Error(base::concat("CUDA device ", device, ": its name is not known"));
  return name;
}

double cuda_memory_bytes(int device) {
  const auto total = driver_function<int (*)(size_t*, int)>("cuDeviceTotalMem_v2");
  size_t bytes = 0;
  if (device >= cuda_device_count() || total == nullptr || total(&bytes, device) != 0)
    throw base::Error(base::concat("CUDA device ", device, ": its memory is not known"));
  return static_cast<double>(bytes);
}

void push_range(const char* name) {
  if (const auto* table = loaded.load()) table->push_range(name);
}
void pop_range() {
  if (const auto* table = loaded.load()) table->pop_range();
}

const std::string& load_cuda() { return library().problem; }

const cuda::KernelTable& cuda::kernels() {
  if (library().table == nullptr) throw base::Error("CUDA kernels: " + library().problem);
  return *library().table;
}

}  // namespace grpo::kernels
