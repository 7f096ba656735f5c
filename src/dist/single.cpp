#include "dist/single.h"

#include "grpo/base/error.h"

namespace grpo::dist {
namespace {

// What would fail with several ranks fails with one.
void check(const at::Tensor& tensor) { GRPO_CHECK(tensor.defined(), "a collective was given no tensor"); }

}  // namespace

void SingleCommunicator::all_reduce_sum(at::Tensor& tensor) { check(tensor); }
void SingleCommunicator::all_reduce_max(at::Tensor& tensor) { check(tensor); }

void SingleCommunicator::broadcast(at::Tensor& tensor, int64_t root) {
  check(tensor);
  GRPO_CHECK(root == 0, "broadcast from rank ", root, " of 1");
}

void SingleCommunicator::barrier(const std::string& name) { GRPO_CHECK(!name.empty(), "a barrier needs a name"); }

std::vector<std::vector<double>> SingleCommunicator::all_gather(const std::vector<double>& values) { return {values}; }

}  // namespace grpo::dist
