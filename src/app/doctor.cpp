#include <dlfcn.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/driver_check.h"
#include "grpo/base/cores.h"
#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/io/file.h"
#include "grpo/kernels/cuda.h"
#include "grpo/kernels/product.h"
#include "grpo/nn/product_path.h"

namespace grpo::app {
namespace fs = std::filesystem;
namespace {

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

void line(const char* what, const std::string& value) { std::printf("%-14s %s\n", what, value.c_str()); }

std::string fixed(double value, const char* format) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

// The value after `key` in a file of /proc.
std::string proc_value(const char* file, const std::string& key) {
  std::ifstream in(file);
  for (std::string text; std::getline(in, text);) {
    if (text.rfind(key, 0) != 0) continue;
    const size_t colon = text.find(':');
    if (colon != std::string::npos) return text.substr(text.find_first_not_of(" \t", colon + 1));
  }
  return "";
}

// The variable that keeps the CPU's kernels from what the machine has; GRPO_MAX_CPU_ISA sets oneDNN's, too.
std::string limit_of_kernels() {
  for (const char* name : {"GRPO_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA"}) {
    const char* value = std::getenv(name);
    if (value != nullptr) return base::concat(" (", name, "=", value, ")");
  }
  return "";
}

void describe_cpu() {
  const std::string flags = " " + proc_value("/proc/cpuinfo", "flags") + " ";
  std::vector<std::string> found;
  for (const char* flag : {"avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_tile"}) {
    if (flags.find(" " + std::string(flag) + " ") != std::string::npos) found.emplace_back(flag);
  }
  line("cpu", proc_value("/proc/cpuinfo", "model name"));
  line("cores", std::to_string(base::usable_cores()) + " usable by this process");
  line("vector units", found.empty() ? "none of AVX2, AVX-512, AMX: sampling will be slow" : base::join(found, " "));
  line("cpu kernels", std::string(kernels::cpu_instruction_set()) + limit_of_kernels());
  line("fp32 products", nn::describe_product_paths(at::kFloat));
  line("bf16 products", nn::describe_product_paths(at::kBFloat16));
}

double kilobytes(const char* key) { return std::strtod(proc_value("/proc/meminfo", key).c_str(), nullptr); }

void describe_memory() {
  const double scale = 1024.0 / kGiB;
  line("memory", fixed(kilobytes("MemTotal") * scale, "%.1f GiB") + ", " +
                     fixed(kilobytes("MemAvailable") * scale, "%.1f GiB available"));
}

// Measures the disk by writing and syncing a file as a checkpoint does.
void describe_disk(const std::string& folder) {
  constexpr size_t kBytes = size_t{64} << 20;
  const fs::path file = fs::path(folder) /
                        (".grpo-doctor-" + std::to_string(std::chrono::steady_clock::now().time_since_epoch().count()));
  try {
    const bool made = fs::create_directories(folder);
    const std::string bytes(kBytes, 'x');
    const auto start = std::chrono::steady_clock::now();
    io::write_file_atomic(file, bytes);
    io::sync_path(file);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    fs::remove(file);
    const double free_bytes = static_cast<double>(fs::space(folder).available);
    if (made) fs::remove(folder);
    line("disk", folder + ": " + fixed(free_bytes / kGiB, "%.1f GiB free, ") +
                     fixed(static_cast<double>(kBytes) / 1e6 / seconds, "%.0f MB/s written and synced"));
  } catch (const std::exception& error) {
    std::error_code ignored;
    fs::remove(file, ignored);
    line("disk", folder + ": cannot be written (" + error.what() + "); choose another folder with run.output");
  }
}

/// A library that is loaded at run time and whose functions are found by name.
class Library {
 public:
  explicit Library(const char* name) : handle_(dlopen(name, RTLD_NOW | RTLD_LOCAL)) {}
  ~Library() {
    if (handle_ != nullptr) dlclose(handle_);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  explicit operator bool() const { return handle_ != nullptr; }

  template <typename F>
  F* find(const char* name) const {
    return handle_ == nullptr ? nullptr : reinterpret_cast<F*>(dlsym(handle_, name));
  }

 private:
  void* handle_;
};

// The functions of NVML that are needed here. nvml.h belongs to the CUDA toolkit, which a machine may lack.
struct Nvml {
  using Device = void*;
  struct Memory {
    unsigned long long total, free, used;
  };
  Library library{"libnvidia-ml.so.1"};

  template <typename... Args>
  bool call(const char* name, Args... args) const {
    auto* const function = library.find<int(Args...)>(name);
    return function != nullptr && function(args...) == 0;
  }
};

void describe_peers(const Nvml& nvml, const std::vector<Nvml::Device>& devices) {
  constexpr int kNvlinkCapability = 2;  // NVML_P2P_CAPS_INDEX_NVLINK
  constexpr int kReadCapability = 0;    // NVML_P2P_CAPS_INDEX_READ
  int readable = 0, linked = 0, pairs = 0;
  for (size_t a = 0; a < devices.size(); ++a) {
    for (size_t b = a + 1; b < devices.size(); ++b) {
      ++pairs;
      int status = -1;
      if (nvml.call("nvmlDeviceGetP2PStatus", devices[a], devices[b], kReadCapability, &status) && status == 0)
        ++readable;
      if (nvml.call("nvmlDeviceGetP2PStatus", devices[a], devices[b], kNvlinkCapability, &status) && status == 0)
        ++linked;
    }
  }
  if (pairs > 0) line("peer access", base::concat(readable, " of ", pairs, " pairs of GPUs, ", linked, " over NVLink"));
}

void describe_gpus() {
  const Nvml nvml;
  unsigned count = 0;
  if (!nvml.library || !nvml.call("nvmlInit_v2") || !nvml.call("nvmlDeviceGetCount_v2", &count)) {
    line("gpu", "none: no NVIDIA driver answers; training runs on the CPU (on a GPU machine install the driver)");
    return;
  }
  char text[96] = "";
  int cuda = 0;
  if (nvml.call("nvmlSystemGetDriverVersion", static_cast<char*>(text), 96u) &&
      nvml.call("nvmlSystemGetCudaDriverVersion_v2", &cuda)) {
    line("driver", GRPO_CUDA_VERSION == 0 ? std::string(text) : driver_line(text, cuda, GRPO_CUDA_VERSION));
  }
  std::vector<Nvml::Device> devices;
  for (unsigned i = 0; i < count; ++i) {
    Nvml::Device device = nullptr;
    Nvml::Memory memory{};
    if (!nvml.call("nvmlDeviceGetHandleByIndex_v2", i, &device)) continue;
    nvml.call("nvmlDeviceGetName", device, static_cast<char*>(text), 96u);
    nvml.call("nvmlDeviceGetMemoryInfo", device, &memory);
    line("gpu", base::concat(i, ": ", text, ", ", fixed(static_cast<double>(memory.total) / kGiB, "%.0f GiB, "),
                             fixed(static_cast<double>(memory.free) / kGiB, "%.0f GiB free")));
    devices.push_back(device);
  }
  describe_peers(nvml, devices);
  nvml.call("nvmlShutdown");
}

std::string usable_kernels() {
  const std::string& missing = kernels::load_cuda();
  return missing.empty() ? base::concat("usable; ", kernels::cuda_device_count(), " devices") : missing;
}

void describe_build() {
  line("grpo-train", GRPO_VERSION);
  line("libtorch", GRPO_LIBTORCH_VERSION);
  line("cuda", GRPO_CUDA_VERSION == 0
                   ? std::string("not part of this build")
                   : base::concat("built for ", GRPO_CUDA_VERSION / 1000, ".", GRPO_CUDA_VERSION % 1000 / 10,
                                  ", needs driver ", oldest_driver(GRPO_CUDA_VERSION / 1000), " or newer"));
  line("cuda kernels",
       kernels::cuda_device_count() > 0 ? usable_kernels()
       : kernels::has_cuda_library()
           ? std::string("built; this machine has no CUDA device")
           : std::string("not built: scripts/build.sh builds them where the CUDA toolkit (nvcc) is installed"));
  const Library nccl("libnccl.so.2");
  auto* const version = nccl.find<int(int*)>("ncclGetVersion");
  int number = 0;
  if (version != nullptr && version(&number) == 0) {
    line("nccl", base::concat(number / 10000, ".", number / 100 % 100, ".", number % 100));
  } else {
    line("nccl", "not found: several GPUs need it (package libnccl2)");
  }
}

void run_doctor(const std::string& folder) {
  describe_build();
  describe_cpu();
  describe_memory();
  describe_gpus();
  describe_disk(folder);
}

}  // namespace

void add_doctor(CLI::App& app) {
  auto* command = app.add_subcommand("doctor", "Say what this machine has, what is missing and how to get it");
  auto folder = std::make_shared<std::string>("runs");
  command->add_option("--output", *folder, "folder whose disk is tried")->capture_default_str();
  command->callback([folder] { run_doctor(*folder); });
}

}  // namespace grpo::app
