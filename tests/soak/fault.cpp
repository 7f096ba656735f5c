// LD_PRELOAD: counts the system calls that change something below GRPO_FAULT_FOLDER and lets the GRPO_FAULT_AT-th of them
// fail, once, as GRPO_FAULT_KIND says: ENOSPC, EIO, EACCES, or "short" (a write that takes half of the bytes). The number
// of calls seen goes to the file GRPO_FAULT_COUNT. Descriptors are known by what /proc says they are.
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

std::atomic<long> calls{0};

const char* variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

bool is_below(const char* path) {
  const std::string folder = variable("GRPO_FAULT_FOLDER");
  return path != nullptr && !folder.empty() && std::strncmp(path, folder.c_str(), folder.size()) == 0;
}

bool is_below(int descriptor) {
  char link[64], path[PATH_MAX];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return false;
  path[length] = '\0';
  return is_below(path);
}

bool is_its_turn() { return ++calls == std::atol(variable("GRPO_FAULT_AT")); }
bool is_short() { return std::strcmp(variable("GRPO_FAULT_KIND"), "short") == 0; }

// For calls that cannot be short.
int fails() {
  const std::string kind = variable("GRPO_FAULT_KIND");
  errno = kind == "ENOSPC" ? ENOSPC : kind == "EACCES" ? EACCES : EIO;
  return -1;
}

template <typename Place>
bool fault(const Place& place) {
  return is_below(place) && is_its_turn() && !is_short();
}

struct Count {
  ~Count() {
    const char* file = variable("GRPO_FAULT_COUNT");
    if (*file == '\0') return;
    if (std::FILE* out = std::fopen(file, "w")) {
      std::fprintf(out, "%ld\n", calls.load());
      std::fclose(out);
    }
  }
} count;

}  // namespace

#define CHANGES(flags) (((flags) & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0)

extern "C" {

static mode_t mode_of(int flags, va_list arguments) { return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0; }

#define OPEN(name)                                                              \
  int name(const char* path, int flags, ...) {                                  \
    va_list arguments;                                                          \
    va_start(arguments, flags);                                                 \
    const mode_t mode = mode_of(flags, arguments);                              \
    va_end(arguments);                                                          \
    if (CHANGES(flags) && fault(path)) return fails();                          \
    return next<int(const char*, int, ...)>(#name)(path, flags, mode);          \
  }
OPEN(open)
OPEN(open64)

ssize_t write(int descriptor, const void* bytes, size_t size) {
  static auto* const real = next<ssize_t(int, const void*, size_t)>("write");
  if (is_below(descriptor) && is_its_turn()) {
    if (!is_short()) return fails();
    size = size > 1 ? size / 2 : size;
  }
  return real(descriptor, bytes, size);
}

int fsync(int descriptor) { return fault(descriptor) ? fails() : next<int(int)>("fsync")(descriptor); }
int ftruncate(int descriptor, off_t size) { return fault(descriptor) ? fails() : next<int(int, off_t)>("ftruncate")(descriptor, size); }
int rename(const char* from, const char* to) { return fault(to) ? fails() : next<int(const char*, const char*)>("rename")(from, to); }
int mkdir(const char* path, mode_t mode) { return fault(path) ? fails() : next<int(const char*, mode_t)>("mkdir")(path, mode); }
int unlink(const char* path) { return fault(path) ? fails() : next<int(const char*)>("unlink")(path); }
int remove(const char* path) { return fault(path) ? fails() : next<int(const char*)>("remove")(path); }
int unlinkat(int folder, const char* path, int flags) {
  return fault(folder) ? fails() : next<int(int, const char*, int)>("unlinkat")(folder, path, flags);
}
}
