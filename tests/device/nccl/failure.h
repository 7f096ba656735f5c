#pragma once

#include <nccl.h>

#include <stdexcept>
#include <string>

namespace grpo::device_nccl {

/// A call that fails at once.
struct Failure : std::runtime_error {
  Failure(ncclResult_t code, const std::string& what) : std::runtime_error(what), code(code) {}
  ncclResult_t code;
};

}  // namespace grpo::device_nccl
