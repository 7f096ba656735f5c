#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace grpo::dist {

inline constexpr const char* kNoDevices = "the driver offers no CUDA device";

/// What is missing for CUDA device number `device` to exchange tensors by NCCL; "" when nothing is. This loads
/// lib/libgrpo_nccl.so beside the program, and with it LibTorch's CUDA part, but only if the driver has that device.
std::string nccl_problem(int64_t device);

/// Makes c10d's NCCL process group. REQUIRES: nccl_problem() returned "" on every rank.
c10::intrusive_ptr<c10d::Backend> make_nccl_group(const c10::intrusive_ptr<c10d::Store>& store, int64_t rank,
                                                  int64_t size, std::chrono::seconds timeout);

/// The functions that libgrpo_nccl.so exports.
struct NcclTable {
  const char* (*version_problem)();
  void (*make)(c10::intrusive_ptr<c10d::Backend>& group, const c10::intrusive_ptr<c10d::Store>& store, int rank,
               int size, int64_t timeout_s);
};

}  // namespace grpo::dist

extern "C" const grpo::dist::NcclTable* grpo_nccl();
