#include <dlfcn.h>
#include <unistd.h>

#include <filesystem>

#include "grpo/base/error.h"
#include "grpo/kernels/keyed_uniform.h"
#include "kernels/cuda/c_api.h"

namespace grpo::kernels {
namespace {

namespace fs = std::filesystem;

// The library lies in ../lib beside the program, in the build folder and where both are installed.
void* open_library() {
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  const fs::path path = program.parent_path().parent_path() / "lib" / "libgrpo_kernels_cuda.so";
  return dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
}

void* library() {
  static void* const handle = open_library();
  return handle;
}

// A function of the library; null where there is no library.
template <typename F>
F* find(const char* name) {
  return library() == nullptr ? nullptr : reinterpret_cast<F*>(dlsym(library(), name));
}

}  // namespace

std::vector<double> keyed_uniforms(const base::RandomKey& key, const std::vector<UniformIndex>& indices) {
  std::vector<double> numbers;
  numbers.reserve(indices.size());
  for (const auto& index : indices) numbers.push_back(base::uniform(key, index.draw, index.sample, index.position));
  return numbers;
}

bool has_cuda_library() { return library() != nullptr; }

int cuda_device_count() {
  auto* const count = find<decltype(grpo_cuda_device_count)>("grpo_cuda_device_count");
  return count == nullptr ? 0 : count();
}

std::vector<double> keyed_uniforms_cuda(const base::RandomKey& key, const std::vector<UniformIndex>& indices) {
  auto* const kernel = find<decltype(grpo_cuda_keyed_uniforms)>("grpo_cuda_keyed_uniforms");
  if (kernel == nullptr || cuda_device_count() == 0)
    throw base::Error("keyed_uniforms_cuda: no CUDA device, or a build without CUDA");
  std::vector<uint64_t> draws;
  std::vector<uint32_t> samples, positions;
  for (const auto& index : indices) {
    draws.push_back(index.draw);
    samples.push_back(index.sample);
    positions.push_back(index.position);
  }
  std::vector<double> numbers(indices.size());
  const auto mixed = base::philox_key(key);
  const char* problem = kernel(mixed.data(), static_cast<int64_t>(indices.size()), draws.data(), samples.data(),
                               positions.data(), numbers.data());
  if (problem != nullptr) throw base::Error(base::concat("keyed_uniforms_cuda: ", problem));
  return numbers;
}

}  // namespace grpo::kernels
