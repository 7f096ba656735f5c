// LD_PRELOAD: counts the calls that reach below GRPO_FAULT_FOLDER and lets the GRPO_FAULT_AT-th of them fail, once, as
// GRPO_FAULT_KIND says: ENOSPC, EIO, EACCES, "short" (a read or write of half of the bytes; other calls go on) or
// "kill" (the process ends before it, by SIGKILL). What was hit goes to stderr, the number of calls seen to the file
// GRPO_FAULT_COUNT. Descriptors are known by what /proc says they are.
#include "fault.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
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

std::string path_of(const char* path) { return path == nullptr ? "" : path; }

std::string path_of(int descriptor) {
  char link[64], path[PATH_MAX];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  return length < 0 ? "" : std::string(path, static_cast<size_t>(length));
}

// Of a path that may be relative to an open folder.
std::string path_of(int folder, const char* path) {
  const std::string name = path_of(path);
  return folder == AT_FDCWD || name.starts_with('/') ? name : path_of(folder) + "/" + name;
}

bool is_kind(const char* kind) { return std::strcmp(variable("GRPO_FAULT_KIND"), kind) == 0; }

// Whether this call is the one; then it is named. errno stays as it was for a call that goes on.
bool is_its_turn(const char* name, const std::string& path) {
  const std::string folder = variable("GRPO_FAULT_FOLDER");
  if (folder.empty() || !path.starts_with(folder) || ++calls != std::atol(variable("GRPO_FAULT_AT"))) return false;
  const int before = errno;
  dprintf(STDERR_FILENO, "fault: %s in %s of %s\n", variable("GRPO_FAULT_KIND"), name, path.c_str());
  if (is_kind("kill")) raise(SIGKILL);
  errno = before;
  return true;
}

void set_error() { errno = is_kind("ENOSPC") ? ENOSPC : is_kind("EACCES") ? EACCES : EIO; }

// Whether the call, which cannot be short, is to fail; errno is then set.
bool fails(const char* name, const std::string& path) {
  if (!is_its_turn(name, path) || is_kind("short")) return false;
  set_error();
  return true;
}

// How many of `size` bytes a read or write may move; -1 when it is to fail.
ssize_t allowed(const char* name, int descriptor, size_t size) {
  if (!is_its_turn(name, path_of(descriptor))) return static_cast<ssize_t>(size);
  if (is_kind("short")) return static_cast<ssize_t>(size > 1 ? size / 2 : size);
  set_error();
  return -1;
}

mode_t mode_of(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

void write_number_of_calls() {
  const char* file = variable("GRPO_FAULT_COUNT");
  if (*file == '\0') return;
  if (std::FILE* out = std::fopen(file, "w")) {
    std::fprintf(out, "%ld\n", calls.load());
    std::fclose(out);
  }
}

extern "C" {

#define OPEN(name)                                                     \
  int name(const char* path, int flags, ...) {                         \
    va_list arguments;                                                 \
    va_start(arguments, flags);                                        \
    const mode_t mode = mode_of(flags, arguments);                     \
    va_end(arguments);                                                 \
    if (fails(#name, path_of(path))) return -1;                        \
    static auto* const real = next<int(const char*, int, ...)>(#name); \
    return real(path, flags, mode);                                    \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                        \
  int name(int folder, const char* path, int flags, ...) {                  \
    va_list arguments;                                                      \
    va_start(arguments, flags);                                             \
    const mode_t mode = mode_of(flags, arguments);                          \
    va_end(arguments);                                                      \
    if (fails(#name, path_of(folder, path))) return -1;                     \
    static auto* const real = next<int(int, const char*, int, ...)>(#name); \
    return real(folder, path, flags, mode);                                 \
  }
OPENAT(openat)
OPENAT(openat64)

// A call of the given type that fails with `failed`, at the place that `path_of(where...)` names.
#define CALL(result, failed, name, parameters, arguments, ...) \
  result name parameters {                                     \
    if (fails(#name, path_of(__VA_ARGS__))) return failed;     \
    static auto* const real = next<result parameters>(#name);  \
    return real arguments;                                     \
  }
CALL(std::FILE*, nullptr, fopen, (const char* path, const char* mode), (path, mode), path)
CALL(std::FILE*, nullptr, fopen64, (const char* path, const char* mode), (path, mode), path)
CALL(DIR*, nullptr, opendir, (const char* path), (path), path)
CALL(int, -1, stat, (const char* path, struct stat* out), (path, out), path)
CALL(int, -1, stat64, (const char* path, struct stat64* out), (path, out), path)
CALL(int, -1, lstat, (const char* path, struct stat* out), (path, out), path)
CALL(int, -1, lstat64, (const char* path, struct stat64* out), (path, out), path)
CALL(int, -1, fstat, (int descriptor, struct stat* out), (descriptor, out), descriptor)
CALL(int, -1, fstat64, (int descriptor, struct stat64* out), (descriptor, out), descriptor)
CALL(int, -1, statvfs, (const char* path, struct statvfs* out), (path, out), path)
CALL(int, -1, statvfs64, (const char* path, struct statvfs64* out), (path, out), path)
CALL(int, -1, flock, (int descriptor, int operation), (descriptor, operation), descriptor)
CALL(int, -1, fsync, (int descriptor), (descriptor), descriptor)
CALL(int, -1, fdatasync, (int descriptor), (descriptor), descriptor)
CALL(int, -1, ftruncate, (int descriptor, off_t size), (descriptor, size), descriptor)
CALL(int, -1, ftruncate64, (int descriptor, off64_t size), (descriptor, size), descriptor)
CALL(int, -1, truncate, (const char* path, off_t size), (path, size), path)
CALL(int, -1, truncate64, (const char* path, off64_t size), (path, size), path)
CALL(int, -1, rename, (const char* from, const char* to), (from, to), to)
CALL(int, -1, renameat2, (int a, const char* from, int b, const char* to, unsigned flags), (a, from, b, to, flags), b,
     to)
CALL(int, -1, mkdir, (const char* path, mode_t mode), (path, mode), path)
CALL(int, -1, rmdir, (const char* path), (path), path)
CALL(int, -1, unlink, (const char* path), (path), path)
CALL(int, -1, remove, (const char* path), (path), path)
CALL(int, -1, unlinkat, (int folder, const char* path, int flags), (folder, path, flags), folder, path)
CALL(int, -1, symlink, (const char* target, const char* path), (target, path), path)
CALL(ssize_t, -1, sendfile, (int to, int from, off_t* offset, size_t size), (to, from, offset, size), to)
CALL(ssize_t, -1, copy_file_range, (int from, off64_t* a, int to, off64_t* b, size_t size, unsigned flags),
     (from, a, to, b, size, flags), to)
CALL(void*, MAP_FAILED, mmap, (void* at, size_t size, int protection, int flags, int descriptor, off_t offset),
     (at, size, protection, flags, descriptor, offset), descriptor)
CALL(ssize_t, -1, writev, (int descriptor, const struct iovec* parts, int number), (descriptor, parts, number),
     descriptor)

ssize_t write(int descriptor, const void* bytes, size_t size) {
  static auto* const real = next<ssize_t(int, const void*, size_t)>("write");
  const ssize_t moves = allowed("write", descriptor, size);
  return moves < 0 ? moves : real(descriptor, bytes, static_cast<size_t>(moves));
}

ssize_t read(int descriptor, void* bytes, size_t size) {
  static auto* const real = next<ssize_t(int, void*, size_t)>("read");
  const ssize_t moves = allowed("read", descriptor, size);
  return moves < 0 ? moves : real(descriptor, bytes, static_cast<size_t>(moves));
}
}
