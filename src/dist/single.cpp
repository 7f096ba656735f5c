#include "dist/single.h"

#include "dist/checks.h"
#include "grpo/base/error.h"

namespace grpo::dist {
namespace {

class Done : public Pending {
 public:
  void wait() override {}
};

}  // namespace

std::unique_ptr<Pending> SingleCommunicator::start_all_reduce_sum(const at::Tensor& tensor) {
  check_tensor(tensor);
  return std::make_unique<Done>();
}

void SingleCommunicator::all_reduce_max(at::Tensor& tensor) { check_tensor(tensor); }

void SingleCommunicator::broadcast(at::Tensor& tensor, int64_t root) {
  check_tensor(tensor);
  GRPO_CHECK(root == 0, "broadcast from rank ", root, " of 1");
}

void SingleCommunicator::barrier(const std::string& name) { check_name(name); }

int64_t SingleCommunicator::meet(const std::string& name, int64_t value, const std::function<void()>&) {
  check_name(name);
  return value;
}

void SingleCommunicator::enter_phase(const std::string& phase) {
  if (drill_ && applies(*drill_, 0, phase)) act(*drill_, {});
}

std::vector<std::vector<double>> SingleCommunicator::all_gather(const std::vector<double>& values) { return {values}; }

std::vector<std::string> SingleCommunicator::all_gather_bytes(const std::string& bytes) { return {bytes}; }

std::unique_ptr<Pending> SingleCommunicator::start_reduce_scatter_sum(const at::Tensor& output,
                                                                      const at::Tensor& input) {
  check_reduce_scatter(output, input, 1);
  output.copy_(input.reshape(output.sizes()));
  return std::make_unique<Done>();
}

std::unique_ptr<Pending> SingleCommunicator::start_all_gather_into(const at::Tensor& output, const at::Tensor& input) {
  check_all_gather(output, input, 1);
  output.copy_(input.reshape(output.sizes()));
  return std::make_unique<Done>();
}

}  // namespace grpo::dist
