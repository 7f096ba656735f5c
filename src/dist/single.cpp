#include "dist/single.h"

#include "dist/checks.h"
#include "grpo/base/error.h"

namespace grpo::dist {

void SingleCommunicator::all_reduce_sum(at::Tensor& tensor) { check_tensor(tensor); }
void SingleCommunicator::all_reduce_max(at::Tensor& tensor) { check_tensor(tensor); }

void SingleCommunicator::broadcast(at::Tensor& tensor, int64_t root) {
  check_tensor(tensor);
  GRPO_CHECK(root == 0, "broadcast from rank ", root, " of 1");
}

void SingleCommunicator::barrier(const std::string& name) { check_name(name); }

std::vector<std::vector<double>> SingleCommunicator::all_gather(const std::vector<double>& values) { return {values}; }

std::vector<std::string> SingleCommunicator::all_gather_bytes(const std::string& bytes) { return {bytes}; }

void SingleCommunicator::reduce_scatter_sum(at::Tensor& output, const at::Tensor& input) {
  check_parts(output, input, 1);
  output.copy_(input.reshape(output.sizes()));
}

void SingleCommunicator::all_gather_into(at::Tensor& output, const at::Tensor& input) {
  check_parts(input, output, 1);
  output.copy_(input.reshape(output.sizes()));
}

}  // namespace grpo::dist
