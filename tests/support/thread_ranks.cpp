#include "support/thread_ranks.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/maximum.h>

#include <barrier>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

namespace grpo::dist {
namespace {

struct Shared {
  explicit Shared(int64_t size)
      : meeting(size),
        tensors(static_cast<size_t>(size)),
        values(static_cast<size_t>(size)),
        bytes(static_cast<size_t>(size)) {}
  std::barrier<> meeting;
  std::vector<at::Tensor> tensors;
  std::vector<std::vector<double>> values;
  std::vector<std::string> bytes;
  std::mutex mutex;
  std::map<std::string, int64_t> numbers;
};

class ThreadCommunicator : public Communicator {
 public:
  ThreadCommunicator(Shared& shared, int64_t rank) : shared_(shared), rank_(rank) {}
  int64_t rank() const override { return rank_; }
  int64_t size() const override { return static_cast<int64_t>(shared_.tensors.size()); }
  int64_t local_rank() const override { return rank_; }
  std::unique_ptr<Pending> start_all_reduce_sum(const at::Tensor& tensor) override {
    bytes_sent_ += 2 * static_cast<int64_t>(tensor.nbytes()) * (size() - 1) / size();
    return start([this, tensor] { reduce(tensor, [](const at::Tensor& a, const at::Tensor& b) { return a + b; }); });
  }
  void all_reduce_max(at::Tensor& tensor) override {
    finish(started_);
    reduce(tensor, [](const at::Tensor& a, const at::Tensor& b) { return at::maximum(a, b); });
  }
  void broadcast(at::Tensor& tensor, int64_t root) override {
    finish(started_);
    publish(tensor);
    tensor.copy_(shared_.tensors[static_cast<size_t>(root)]);
    shared_.meeting.arrive_and_wait();
  }
  void barrier(const std::string&) override {
    finish(started_);
    shared_.meeting.arrive_and_wait();
  }
  std::vector<std::vector<double>> all_gather(const std::vector<double>& values) override {
    return gathered(shared_.values, values);
  }
  std::vector<std::string> all_gather_bytes(const std::string& bytes) override {
    return gathered(shared_.bytes, bytes);
  }
  std::unique_ptr<Pending> start_reduce_scatter_sum(const at::Tensor& output, const at::Tensor& input) override {
    bytes_sent_ += static_cast<int64_t>(input.nbytes()) / size() * (size() - 1);
    return start([this, output, input] {
      auto total = input.to(output.scalar_type(), /*non_blocking=*/false, /*copy=*/true);
      reduce(total, [](const at::Tensor& a, const at::Tensor& b) { return a + b; });
      output.copy_(total.view(-1).narrow(0, rank_ * output.numel(), output.numel()).view_as(output));
    });
  }
  std::unique_ptr<Pending> start_all_gather_into(const at::Tensor& output, const at::Tensor& input) override {
    bytes_sent_ += static_cast<int64_t>(input.nbytes()) * (size() - 1);
    return start([this, output, input] {
      publish(input);
      output.copy_(at::cat(shared_.tensors).view_as(output));
      shared_.meeting.arrive_and_wait();
    });
  }
  int64_t meet(const std::string&, int64_t value, const std::function<void()>&) override {
    double sum = 0.0;
    for (const auto& theirs : all_gather({static_cast<double>(value)})) sum += theirs[0];
    return static_cast<int64_t>(sum);
  }
  int64_t add_shared(const std::string& name, int64_t amount) override {
    const std::lock_guard lock(shared_.mutex);
    return shared_.numbers[name] += amount;
  }
  void enter_phase(const std::string&) override {}
  void report_failure(const std::string&, int) override {}
  int64_t bytes_sent() const override { return bytes_sent_; }

 private:
  // Nothing happens before wait(): who reads a result or writes an input too early gets wrong numbers.
  class Deferred : public Pending {
   public:
    Deferred(ThreadCommunicator& owner, int64_t number) : owner_(owner), number_(number) {}
    void wait() override { owner_.finish(number_); }

   private:
    ThreadCommunicator& owner_;
    int64_t number_;
  };
  std::unique_ptr<Pending> start(std::function<void()> body) {
    waiting_.push_back(std::move(body));
    return std::make_unique<Deferred>(*this, ++started_);
  }
  // In the order in which they were started, which is the same on every rank.
  void finish(int64_t number) {
    while (finished_ < number) {
      const auto body = std::move(waiting_.front());
      waiting_.pop_front();
      ++finished_;
      const at::NoGradGuard no_grad;
      body();
    }
  }

  template <typename T>
  std::vector<T> gathered(std::vector<T>& slots, const T& value) {
    finish(started_);
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
  void reduce(const at::Tensor& tensor, const Combine& combine) {
    publish(tensor);
    auto total = shared_.tensors[0];
    for (size_t r = 1; r < shared_.tensors.size(); ++r) total = combine(total, shared_.tensors[r]);
    tensor.copy_(total);
    shared_.meeting.arrive_and_wait();
  }

  Shared& shared_;
  int64_t rank_;
  std::deque<std::function<void()>> waiting_;
  int64_t started_ = 0;
  int64_t finished_ = 0;
  int64_t bytes_sent_ = 0;
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
