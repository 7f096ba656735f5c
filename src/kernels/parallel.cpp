// The only source that is compiled with OpenMP. at::parallel_for is a template: in a source compiled without OpenMP it
// runs on one thread, whatever LibTorch itself was built with.
#include "kernels/parallel.h"

#include <ATen/Parallel.h>

#ifndef _OPENMP
#error "compile this with OpenMP: without it every kernel of the CPU runs on one thread"
#endif

namespace grpo::kernels {

void for_ranges(int64_t items, int64_t grain, c10::function_ref<void(int64_t begin, int64_t end)> work) {
  at::parallel_for(0, items, grain, work);
}

}  // namespace grpo::kernels
