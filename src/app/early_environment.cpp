// Some libraries read how they are to behave from the environment, when they are loaded and only then. So the program
// starts itself again with these variables set, unless the user has set them: before any library is initialized, when
// no more has happened than that the dynamic linker has mapped them (docs/performance.md).
#include <sys/auxv.h>
#include <unistd.h>

#include <cstddef>

namespace {

// No function of a library is called here but the system call: none is initialized yet, nor are sanitizers.
#define GRPO_EARLY __attribute__((no_sanitize("address", "undefined", "thread")))

struct Default {
  char entry[64];
  const char* names[2];  // where one of these is set, nothing is; each ends with '='
};

Default defaults[] = {
    // LibTorch's threads are those of GNU OpenMP. One that waits for the others spins before it sleeps: by itself for
    // about 5 ms, with this for 0.2 ms. Where another program runs on the same cores, what this process has of them
    // would go into spinning.
    {"GOMP_SPINCOUNT=10000", {"GOMP_SPINCOUNT=", "OMP_WAIT_POLICY="}},
    // LibTorch and oneDNN each keep products by their shapes, by themselves up to 1024, with some 100 KB each. In a run
    // every step has other shapes, so that hundreds of MB would be kept for nothing.
    {"LRU_CACHE_CAPACITY=128", {"LRU_CACHE_CAPACITY=", nullptr}},
    {"ONEDNN_PRIMITIVE_CACHE_CAPACITY=128", {"ONEDNN_PRIMITIVE_CACHE_CAPACITY=", "DNNL_PRIMITIVE_CACHE_CAPACITY="}},
    // The C library gives freed memory back to the system at once and takes it anew for the next micro-batch, page by
    // page, which took a tenth of an update. With these it keeps 1 GiB.
    {"MALLOC_MMAP_THRESHOLD_=1073741824", {"MALLOC_MMAP_THRESHOLD_=", "MALLOC_TRIM_THRESHOLD_="}},
    {"MALLOC_TRIM_THRESHOLD_=1073741824", {"MALLOC_TRIM_THRESHOLD_=", "MALLOC_MMAP_THRESHOLD_="}},
};
constexpr size_t kMostVariables = 4096;

GRPO_EARLY bool begins_with(const char* entry, const char* name) {
  while (*name != '\0' && *entry == *name) ++entry, ++name;
  return *name == '\0';
}

GRPO_EARLY bool is_set(char** environment, const Default& wanted) {
  for (char** entry = environment; *entry != nullptr; ++entry) {
    for (const char* name : wanted.names) {
      if (name != nullptr && begins_with(*entry, name)) return true;
    }
  }
  return false;
}

GRPO_EARLY void start_with_defaults(int, char** arguments, char** environment) {
  static char* variables[kMostVariables];
  size_t count = 0, found = 0;
  for (Default& wanted : defaults) {
    if (!is_set(environment, wanted)) variables[count++] = wanted.entry;
  }
  if (count == 0) return;
  for (; environment[found] != nullptr; ++found) {
    if (count + 1 == kMostVariables) return;
    variables[count++] = environment[found];
  }
  const auto* program = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
  if (program != nullptr) execve(program, arguments, variables);  // if that fails, the run goes on as it is
}

using Start = void (*)(int, char**, char**);
__attribute__((section(".preinit_array"), used)) const Start before_libraries = start_with_defaults;

}  // namespace
