#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dist/drill.h"
#include "grpo/dist/communicator.h"

namespace grpo::dist {

/// The communicator of a run of a single process: sums and maxima over the ranks are this process's own values.
class SingleCommunicator : public Communicator {
 public:
  explicit SingleCommunicator(std::optional<Drill> drill = {}) : drill_(std::move(drill)) {}
  int64_t rank() const override { return 0; }
  int64_t size() const override { return 1; }
  int64_t local_rank() const override { return 0; }
  std::unique_ptr<Pending> start_all_reduce_sum(const at::Tensor& tensor) override;
  void all_reduce_max(at::Tensor& tensor) override;
  void broadcast(at::Tensor& tensor, int64_t root) override;
  void barrier(const std::string& name) override;
  std::vector<std::vector<double>> all_gather(const std::vector<double>& values) override;
  std::vector<std::string> all_gather_bytes(const std::string& bytes) override;
  std::unique_ptr<Pending> start_reduce_scatter_sum(const at::Tensor& output, const at::Tensor& input) override;
  std::unique_ptr<Pending> start_all_gather_into(const at::Tensor& output, const at::Tensor& input) override;
  int64_t meet(const std::string& name, int64_t value, const std::function<void()>& meanwhile) override;
  int64_t add_shared(const std::string& name, int64_t amount) override { return shared_[name] += amount; }
  void enter_phase(const std::string& phase) override;
  void report_failure(const std::string&, int) override {}
  int64_t bytes_sent() const override { return 0; }

 private:
  std::optional<Drill> drill_;
  std::map<std::string, int64_t> shared_;
};

}  // namespace grpo::dist
