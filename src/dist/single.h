#pragma once

#include "grpo/dist/communicator.h"

namespace grpo::dist {

/// One process: sums and maxima are what it already has.
class SingleCommunicator : public Communicator {
 public:
  int64_t rank() const override { return 0; }
  int64_t size() const override { return 1; }
  void all_reduce_sum(at::Tensor& tensor) override;
  void all_reduce_max(at::Tensor& tensor) override;
  void broadcast(at::Tensor& tensor, int64_t root) override;
  void barrier(const std::string& name) override;
  std::vector<std::vector<double>> all_gather(const std::vector<double>& values) override;
};

}  // namespace grpo::dist
