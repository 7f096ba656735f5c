#pragma once

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "kernels/cpu/dispatch.h"

namespace grpo::testing {

/// Runs `test` once with every set of CPU kernels that this machine can run.
template <typename Test>
void with_every_cpu(Test&& test) {
  for (auto set = kernels::cpu::usable_functions(); *set != nullptr; ++set) {
    SCOPED_TRACE((*set)->name);
    kernels::cpu::use_functions(**set);
    test();
  }
  kernels::cpu::use_functions(*kernels::cpu::usable_functions()[0]);
}

/// What `compute` returns with `threads` threads.
template <typename Compute>
auto with_threads(int threads, Compute&& compute) {
  const int before = at::get_num_threads();
  at::set_num_threads(threads);
  auto result = compute();
  at::set_num_threads(before);
  return result;
}

}  // namespace grpo::testing
