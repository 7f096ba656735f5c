#include "dist/c10d_communicator.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <chrono>
#include <cstring>
#include <exception>
#include <functional>
#include <thread>
#include <type_traits>
#include <utility>

#include "dist/checks.h"
#include "dist/current_watch.h"
#include "dist/staged.h"
#include "dist/work_minder.h"
#include "grpo/base/error.h"
#include "grpo/base/text.h"

namespace grpo::dist {
namespace {

using Clock = std::chrono::steady_clock;

// A broken connection only says that some peer is gone. Within this time the watch finds out which one and why, and
// ends the process with that message.
constexpr std::chrono::seconds kVerdict{12};

/// How often a rank sends the tensor in Gloo's broadcast, which is a binomial tree.
int64_t broadcast_sends(int64_t rank, int64_t root, int64_t size) {
  const int64_t position = (rank + size - root) % size;
  int64_t sends = 0;
  for (int64_t step = 1; step < size && (position & step) == 0; step *= 2) sends += position + step < size ? 1 : 0;
  return sends;
}

class C10dCommunicator : public Communicator {
 public:
  C10dCommunicator(const Ranks& ranks, int64_t timeout_s, std::shared_ptr<Watch> watch,
                   c10::intrusive_ptr<c10d::Backend> group, c10::intrusive_ptr<c10d::Backend> device_group)
      : ranks_(ranks),
        timeout_s_(timeout_s),
        watch_(std::move(watch)),
        group_(std::move(group)),
        device_group_(std::move(device_group)) {
    if (!device_group_) return;
    minder_ = std::make_unique<WorkMinder>(
        std::chrono::seconds(timeout_s_), [this](const Started& started, const std::string& what) {
          const std::string message = what.empty()
                                          ? waited_message(started, "")
                                          : base::concat("rank ", ranks_.rank, ": ", started.name, " failed: ", what);
          watch_->report(message, 1);
          end_process(message, 1);
        });
  }

  // While an exception destroys this object, the watch keeps running until report_failure has told the other ranks.
  ~C10dCommunicator() override {
    minder_.reset();
    // Unlike shutdown(), abort() does not wait for collectives that have failed.
    if (device_group_ && std::uncaught_exceptions() > 0) device_group_->abort();
    if (std::uncaught_exceptions() > 0) return;
    watch_->leave(std::chrono::seconds(timeout_s_));
    // All ranks are done now. Without shutdown() the group's destructor would warn of a leak.
    if (device_group_) device_group_->shutdown();
    set_current_watch(nullptr);
  }

  int64_t rank() const override { return ranks_.rank; }
  int64_t size() const override { return ranks_.size; }
  int64_t local_rank() const override { return ranks_.local_rank; }
  std::unique_ptr<Pending> start_all_reduce_sum(const at::Tensor& tensor) override {
    return start_all_reduce(tensor, c10d::ReduceOp::SUM, "all_reduce_sum");
  }
  void all_reduce_max(at::Tensor& tensor) override {
    start_all_reduce(tensor, c10d::ReduceOp::MAX, "all_reduce_max")->wait();
  }
  void broadcast(at::Tensor& tensor, int64_t root) override;
  void barrier(const std::string& name) override;
  std::vector<std::vector<double>> all_gather(const std::vector<double>& values) override;
  std::vector<std::string> all_gather_bytes(const std::string& bytes) override;
  std::unique_ptr<Pending> start_reduce_scatter_sum(const at::Tensor& output, const at::Tensor& input) override;
  std::unique_ptr<Pending> start_all_gather_into(const at::Tensor& output, const at::Tensor& input) override;
  int64_t meet(const std::string& name, int64_t value, const std::function<void()>& meanwhile) override;
  int64_t add_shared(const std::string& name, int64_t amount) override { return watch_->add(name, amount); }
  void enter_phase(const std::string& phase) override { watch_->enter_phase(phase); }
  void report_failure(const std::string& message, int exit_code) override { watch_->report(message, exit_code); }
  int64_t bytes_sent() const override { return bytes_sent_; }

 private:
  class Underway;
  using Work = c10::intrusive_ptr<c10d::Work>;

  template <typename Body>
  std::invoke_result_t<Body> guarded(const Started& started, const Body& body);
  template <typename Body>
  void collective(const std::string& name, const Body& body);
  template <typename Body, typename Finish>
  std::unique_ptr<Pending> start(const std::string& name, bool on_device, const Body& body, Finish finish);
  [[noreturn]] void give_up(const Started& started, const std::exception& error);
  std::string waited_message(const Started& started, const std::string& otherwise);
  bool stays(const at::Tensor& tensor) const { return device_group_ && tensor.is_cuda(); }
  c10d::Backend& group_of(const at::Tensor& tensor) { return stays(tensor) ? *device_group_ : *group_; }
  std::unique_ptr<Pending> start_all_reduce(const at::Tensor& tensor, c10d::ReduceOp::RedOpType operation,
                                            const char* name);
  void gather_flat(at::Tensor output, at::Tensor input);
  std::vector<std::string> gather_bytes(const std::string& bytes);
  int64_t share_of(const at::Tensor& whole) const {
    return static_cast<int64_t>(whole.nbytes()) / ranks_.size * (ranks_.size - 1);
  }

  Ranks ranks_;
  int64_t timeout_s_;
  std::shared_ptr<Watch> watch_;
  c10::intrusive_ptr<c10d::Backend> group_;  // Gloo
  // NCCL, for tensors on CUDA. Without it they are copied to the CPU and back.
  c10::intrusive_ptr<c10d::Backend> device_group_;
  std::unique_ptr<WorkMinder> minder_;  // looks after the collectives of device_group_
  int64_t bytes_sent_ = 0;
};

// A collective that has started: c10d's work, and what is left to do when the work is done. Threads of Gloo
// or NCCL carry it on meanwhile.
class C10dCommunicator::Underway : public Pending {
 public:
  Underway(C10dCommunicator& owner, Started started, Work work, std::function<void()> finish)
      : owner_(owner), started_(std::move(started)), work_(std::move(work)), finish_(std::move(finish)) {}

  void wait() override {
    const Work work = std::exchange(work_, {});
    const auto finish = std::exchange(finish_, nullptr);
    if (work) {
      owner_.watch_->await_collective(started_.number, started_.name);
      owner_.guarded(started_, [&] { return work->wait(); });
      owner_.watch_->leave_collective();
    }
    if (finish) finish();
  }

 private:
  C10dCommunicator& owner_;
  Started started_;
  Work work_;  // null when there is nothing to send, and after wait()
  std::function<void()> finish_;
};

template <typename Body>
std::invoke_result_t<Body> C10dCommunicator::guarded(const Started& started, const Body& body) {
  try {
    return body();
  } catch (const std::exception& error) {
    give_up(started, error);
  }
}

template <typename Body, typename Finish>
std::unique_ptr<Pending> C10dCommunicator::start(const std::string& name, bool on_device, const Body& body,
                                                 Finish finish) {
  Started started{.name = name, .number = watch_->start_collective(name), .began = Clock::now()};
  const bool minded = minder_ && on_device;
  if (minded) minder_->mind(started);
  Work work = guarded(started, body);
  if (minded && work) minder_->started_as(work);
  if (minded && !work) minder_->forget();
  return std::make_unique<Underway>(*this, std::move(started), std::move(work), std::move(finish));
}

template <typename Body>
void C10dCommunicator::collective(const std::string& name, const Body& body) {
  const Started started{.name = name, .number = watch_->start_collective(name), .began = Clock::now()};
  watch_->await_collective(started.number, name);
  guarded(started, body);
  watch_->leave_collective();
}

void C10dCommunicator::give_up(const Started& started, const std::exception& error) {
  const bool timed_out = Clock::now() - started.began >= std::chrono::milliseconds(900 * timeout_s_);
  if (!timed_out) {
    std::this_thread::sleep_for(kVerdict);
    throw base::DistError(
        base::concat("rank ", ranks_.rank, ": ", started.name, " failed: ", base::first_line(error.what())));
  }
  throw base::DistError(waited_message(started, base::first_line(error.what())));
}

std::string C10dCommunicator::waited_message(const Started& started, const std::string& otherwise) {
  try {
    watch_->await_collective(started.number, started.name);
    return missing_message(ranks_.rank, watch_->ask(), timeout_s_);
  } catch (const std::exception&) {
    return base::concat("rank ", ranks_.rank, ": ", started.name, " waited ", timeout_s_,
                        " s (distributed.timeout_s): ", otherwise);
  }
}

// Gloo reduces in a ring: each part of the tensor is summed up on one rank and then passed round, so that
// every rank gets the same bits.
std::unique_ptr<Pending> C10dCommunicator::start_all_reduce(const at::Tensor& tensor,
                                                            c10d::ReduceOp::RedOpType operation, const char* name) {
  check_tensor(tensor);
  Staged staged(tensor, stays(tensor));
  bytes_sent_ += 2 * static_cast<int64_t>(staged.flat.nbytes()) * (ranks_.size - 1) / ranks_.size;
  return start(
      name, stays(tensor),
      [&]() -> Work {
        if (staged.flat.numel() == 0) return {};
        std::vector<at::Tensor> tensors = {staged.flat};
        return group_of(tensor).allreduce(tensors, {.reduceOp = operation});
      },
      [staged]() mutable { staged.store(); });
}

void C10dCommunicator::broadcast(at::Tensor& tensor, int64_t root) {
  check_tensor(tensor);
  GRPO_CHECK(root >= 0 && root < ranks_.size, "broadcast from rank ", root, " of ", ranks_.size);
  Staged staged(tensor, stays(tensor));
  start(
      "broadcast", stays(tensor),
      [&]() -> Work {
        if (staged.flat.numel() == 0) return {};
        std::vector<at::Tensor> tensors = {staged.flat};
        return group_of(tensor).broadcast(tensors, {.rootRank = root});
      },
      [&staged] { staged.store(); })
      ->wait();
  bytes_sent_ += static_cast<int64_t>(staged.flat.nbytes()) * broadcast_sends(ranks_.rank, root, ranks_.size);
}

void C10dCommunicator::barrier(const std::string& name) {
  check_name(name);
  collective("barrier \"" + name + "\"", [&] { group_->barrier()->wait(); });
}

int64_t C10dCommunicator::meet(const std::string& name, int64_t value, const std::function<void()>& meanwhile) {
  check_name(name);
  int64_t sum = 0;
  collective("meeting \"" + name + "\"",
             [&] { sum = watch_->meet(value, std::chrono::seconds(timeout_s_), meanwhile); });
  return sum;
}

void C10dCommunicator::gather_flat(at::Tensor output, at::Tensor input) {
  if (input.numel() == 0) return;
  group_->_allgather_base(output, input)->wait();
  bytes_sent_ += static_cast<int64_t>(input.nbytes()) * (ranks_.size - 1);
}

std::unique_ptr<Pending> C10dCommunicator::start_all_gather_into(const at::Tensor& output, const at::Tensor& input) {
  check_all_gather(output, input, ranks_.size);
  GRPO_CHECK(input.device() == output.device(), "all_gather_into from ", input.device(), " to ", output.device());
  Staged to(output, stays(output));
  const Staged from(input, stays(input));
  bytes_sent_ += static_cast<int64_t>(input.nbytes()) * (ranks_.size - 1);
  return start(
      "all_gather_into", stays(output),
      [&]() -> Work {
        if (from.flat.numel() == 0) return {};
        at::Tensor whole = to.flat, part = from.flat;
        return group_of(whole)._allgather_base(whole, part);
      },
      [to]() mutable { to.store(); });
}

// output [n] becomes the sum of `parts` [ranks, n], added up in the order of the ranks.
void add_parts(const at::Tensor& output, const at::Tensor& parts) {
  const auto dtype = is_narrow(parts) ? at::kFloat : parts.scalar_type();
  const bool in_place = output.scalar_type() == dtype && output.is_contiguous() && output.device() == parts.device();
  at::Tensor sum = in_place ? output.detach().view({-1}) : at::empty({parts.size(1)}, parts.options().dtype(dtype));
  sum.copy_(parts[0]);
  for (int64_t r = 1; r < parts.size(0); ++r) sum.add_(parts[r]);
  if (!in_place) output.detach().copy_(sum.view(output.sizes()));
}

// Gloo's own reduce-scatter is an all-reduce of the whole input, and NCCL's rounds 16-bit sums at each hop. Here each
// part goes straight to the rank that adds it up, in the order of the ranks. Only fp32 is left to NCCL's own
// reduce-scatter.
std::unique_ptr<Pending> C10dCommunicator::start_reduce_scatter_sum(const at::Tensor& output, const at::Tensor& input) {
  check_reduce_scatter(output, input, ranks_.size);
  const Staged from(input, stays(input));
  bytes_sent_ += share_of(from.flat);
  at::Tensor whole = from.flat;
  if (stays(input) && !is_narrow(input)) {
    Staged to(output, true);
    return start(
        "reduce_scatter_sum", true,
        [&] { return to.flat.numel() == 0 ? Work() : device_group_->_reduce_scatter_base(to.flat, whole); },
        [to]() mutable { to.store(); });
  }
  at::Tensor parts = at::empty_like(whole);
  return start(
      "reduce_scatter_sum", stays(input),
      [&]() -> Work {
        if (parts.numel() == 0) return {};
        std::vector<int64_t> equal;
        return group_of(parts).alltoall_base(parts, whole, equal, equal);
      },
      [output, parts, size = ranks_.size] {
        add_parts(output, parts.view({size, -1}));
      });
}

// Exchanges the lengths first, then everyone's bytes, filled up to the longest.
std::vector<std::string> C10dCommunicator::gather_bytes(const std::string& bytes) {
  auto lengths = at::empty({ranks_.size}, at::kLong);
  gather_flat(lengths, at::full({1}, static_cast<int64_t>(bytes.size()), at::kLong));
  const int64_t longest = lengths.max().item<int64_t>();
  auto own = at::zeros({longest}, at::kByte);
  if (!bytes.empty()) std::memcpy(own.data_ptr(), bytes.data(), bytes.size());
  auto all = at::empty({ranks_.size * longest}, at::kByte);
  gather_flat(all, own);
  std::vector<std::string> out;
  for (int64_t r = 0; r < ranks_.size; ++r) {
    const auto* begin = static_cast<const char*>(all.data_ptr()) + r * longest;
    out.emplace_back(begin, begin + lengths[r].item<int64_t>());
  }
  return out;
}

std::vector<std::string> C10dCommunicator::all_gather_bytes(const std::string& bytes) {
  std::vector<std::string> all;
  collective("all_gather_bytes", [&] { all = gather_bytes(bytes); });
  return all;
}

std::vector<std::vector<double>> C10dCommunicator::all_gather(const std::vector<double>& values) {
  std::vector<std::string> all;
  const std::string bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double));
  collective("all_gather", [&] { all = gather_bytes(bytes); });
  std::vector<std::vector<double>> out;
  for (const auto& text : all) {
    out.emplace_back(text.size() / sizeof(double));
    if (!text.empty()) std::memcpy(out.back().data(), text.data(), text.size());
  }
  return out;
}

}  // namespace

std::unique_ptr<Communicator> make_c10d_communicator(const Ranks& ranks, int64_t timeout_s,
                                                     std::shared_ptr<Watch> watch,
                                                     c10::intrusive_ptr<c10d::Backend> group,
                                                     c10::intrusive_ptr<c10d::Backend> device_group) {
  return std::make_unique<C10dCommunicator>(ranks, timeout_s, std::move(watch), std::move(group),
                                            std::move(device_group));
}

}  // namespace grpo::dist
