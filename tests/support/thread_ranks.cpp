#include "support/thread_ranks.h"

#include <ATen/ATen.h>

#include <barrier>
#include <exception>
#include <thread>

namespace grpo::dist {
namespace {

struct Shared {
  explicit Shared(int64_t size)
      : meeting(size), tensors(static_cast<size_t>(size)), values(static_cast<size_t>(size)), bytes(static_cast<size_t>(size)) {}
  std::barrier<> meeting;
  std::vector<at::Tensor> tensors;
  std::vector<std::vector<double>> values;
  std::vector<std::string> bytes;
};

class ThreadCommunicator : public Communicator {
 public:
  ThreadCommunicator(Shared& shared, int64_t rank) : shared_(shared), rank_(rank) {}
  int64_t rank() const override { return rank_; }
  int64_t size() const override { return static_cast<int64_t>(shared_.tensors.size()); }
  int64_t local_rank() const override { return rank_; }
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
    return gathered(shared_.values, values);
  }
  std::vector<std::string> all_gather_bytes(const std::string& bytes) override { return gathered(shared_.bytes, bytes); }
  void reduce_scatter_sum(at::Tensor& output, const at::Tensor& input) override {
    auto total = input.clone();
    all_reduce_sum(total);
    output.copy_(total.view(-1).narrow(0, rank_ * output.numel(), output.numel()).view_as(output));
  }
  void all_gather_into(at::Tensor& output, const at::Tensor& input) override {
    publish(input);
    output.copy_(at::cat(shared_.tensors).view_as(output));
    shared_.meeting.arrive_and_wait();
  }
  void enter_phase(const std::string&) override {}
  void report_failure(const std::string&, int) override {}
  int64_t bytes_sent() const override { return 0; }

 private:
  template <typename T>
  std::vector<T> gathered(std::vector<T>& slots, const T& value) {
    slots[static_cast<size_t>(rank_)] = value;
    shared_.meeting.arrive_and_wait();
    auto all = slots;
    shared_.meeting.arrive_and_wait();
    return all;
  }
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

void run_ranks(int64_t size, const std::function<void(Communicator&)>& body) {
  Shared shared(size);
  std::vector<std::exception_ptr> errors(static_cast<size_t>(size));
  {
    std::vector<std::jthread> threads;
    for (int64_t rank = 0; rank < size; ++rank) {
      threads.emplace_back([&, rank] {
        ThreadCommunicator communicator(shared, rank);
        try {
          body(communicator);
        } catch (...) {
          errors[static_cast<size_t>(rank)] = std::current_exception();
        }
      });
    }
  }
  for (const auto& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace grpo::dist
