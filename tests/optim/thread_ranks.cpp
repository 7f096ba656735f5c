#include "optim/thread_ranks.h"

#include <ATen/ATen.h>

#include <barrier>
#include <thread>

namespace grpo::optim {
namespace {

struct Shared {
  explicit Shared(int64_t size)
      : meeting(size), tensors(static_cast<size_t>(size)), values(static_cast<size_t>(size)) {}
  std::barrier<> meeting;
  std::vector<at::Tensor> tensors;
  std::vector<std::vector<double>> values;
};

class ThreadCommunicator : public dist::Communicator {
 public:
  ThreadCommunicator(Shared& shared, int64_t rank) : shared_(shared), rank_(rank) {}
  int64_t rank() const override { return rank_; }
  int64_t size() const override { return static_cast<int64_t>(shared_.tensors.size()); }
  void all_reduce_sum(at::Tensor& tensor) override {
    reduce(tensor, [](const at::Tensor& a, const at::Tensor& b) { return a + b; });
  }
  void all_reduce_max(at::Tensor& tensor) override {
    reduce(tensor, [](const at::Tensor& a, const at::Tensor& b) { return at::maximum(a, b); });
  }
  void broadcast(at::Tensor& tensor, int64_t root) override {
    publish(tensor);
    tensor.copy_(shared_.tensors[static_cast<size_t>(root)]);
    shared_.meeting.arrive_and_wait();
  }
  void barrier(const std::string&) override { shared_.meeting.arrive_and_wait(); }
  std::vector<std::vector<double>> all_gather(const std::vector<double>& values) override {
    shared_.values[static_cast<size_t>(rank_)] = values;
    shared_.meeting.arrive_and_wait();
    auto all = shared_.values;
    shared_.meeting.arrive_and_wait();
    return all;
  }

 private:
  void publish(const at::Tensor& tensor) {
    shared_.tensors[static_cast<size_t>(rank_)] = tensor.clone();
    shared_.meeting.arrive_and_wait();
  }
  template <typename Combine>
  void reduce(at::Tensor& tensor, const Combine& combine) {
    publish(tensor);
    auto total = shared_.tensors[0];
    for (size_t r = 1; r < shared_.tensors.size(); ++r) total = combine(total, shared_.tensors[r]);
    tensor.copy_(total);
    shared_.meeting.arrive_and_wait();
  }

  Shared& shared_;
  int64_t rank_;
};

}  // namespace

void run_ranks(int64_t size, const std::function<void(dist::Communicator&)>& body) {
  Shared shared(size);
  std::vector<std::jthread> threads;
  for (int64_t rank = 0; rank < size; ++rank) {
    threads.emplace_back([&shared, &body, rank] {
      ThreadCommunicator communicator(shared, rank);
      body(communicator);
    });
  }
}

}  // namespace grpo::optim
