#pragma once

#include <dlfcn.h>

namespace grpo::testing {

/// Whether "cuda" is the device of host memory (tests/device). Its kernels run one thread after the other, so that
/// tests whose sizes keep a GPU busy take smaller ones there.
inline bool on_host_device() {
  static const bool loaded = dlsym(RTLD_DEFAULT, "grpo_host_device") != nullptr;
  return loaded;
}

}  // namespace grpo::testing
