#include "dist/process_group.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <limits>
#include <mutex>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <type_traits>
#include <utility>

#include "dist/checks.h"
#include "dist/listen_at.h"
#include "dist/local_address.h"
#include "dist/nccl_library.h"
#include "dist/watch.h"
#include "dist/work_minder.h"
#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/base/text.h"

namespace grpo::dist {
namespace {

using Clock = std::chrono::steady_clock;
using StorePointer = c10::intrusive_ptr<c10d::Store>;

// A broken connection only says that a peer is gone. The watch knows which one and why, or will within this time.
constexpr std::chrono::seconds kVerdict{12};

// How much later than ours NCCL's own time limits are.
constexpr std::chrono::seconds kBeforeNccl{60};

class StoreValues : public KeyValue {
 public:
  explicit StoreValues(StorePointer store) : store_(std::move(store)) {}
  void set(const std::string& key, const std::string& value) override { store_->set(key, value); }
  std::string replace(const std::string& key, const std::string& expected, const std::string& value) override {
    return store_->compareSet(key, expected, value);
  }
  int64_t add(const std::string& key, int64_t amount) override { return store_->add(key, amount); }
  void wait(const std::string& key, std::chrono::milliseconds timeout) override { store_->wait({key}, timeout); }
  void remove(const std::string& key) override { store_->deleteKey(key); }
  std::vector<std::string> get(const std::vector<std::string>& keys) override {
    std::vector<std::string> values;
    for (const auto& bytes : store_->multiGet(keys)) values.emplace_back(bytes.begin(), bytes.end());
    return values;
  }

 private:
  StorePointer store_;
};

StorePointer connect(const Ranks& ranks, bool as_server, std::chrono::seconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(ranks.port);
  options.isServer = as_server;
  options.waitWorkers = false;  // wait_for_all says who is missing
  options.timeout = timeout;
  const std::string place = base::concat(ranks.host, ":", ranks.port, " (MASTER_ADDR, MASTER_PORT)");
  try {
    if (as_server) options.masterListenFd = listen_at(ranks.host, ranks.port, ranks.one_host);
    StorePointer store = c10::make_intrusive<c10d::TCPStore>(ranks.host, options);
    // torchrun's store lives on when it starts the job again: each start has keys of its own.
    return c10::make_intrusive<c10d::PrefixStore>("grpo/" + ranks.attempt, store);
  } catch (const std::exception& error) {
    throw base::DistError(base::concat(
        "rank ", ranks.rank,
        as_server ? ": cannot open the store of the run at " : ": cannot reach the store of the run at ", place,
        " within ", timeout.count(), " s (distributed.timeout_s): ", base::first_line(error.what())));
  }
}

void wait_for_all(c10d::Store& store, const Ranks& ranks, std::chrono::seconds timeout) {
  std::vector<std::string> keys;
  for (int64_t r = 0; r < ranks.size; ++r) keys.push_back(Watch::status_key(r));
  try {
    store.wait(keys, timeout);
    return;
  } catch (const std::exception& error) {
    std::vector<std::string> missing;
    for (int64_t r = 0; r < ranks.size; ++r) {
      if (!store.check({Watch::status_key(r)})) missing.push_back(base::concat("rank ", r));
    }
    if (missing.empty())
      throw base::DistError(
          base::concat("rank ", ranks.rank, ": the store of the run failed: ", base::first_line(error.what())));
    throw base::DistError(base::concat("rank ", ranks.rank, " waited ", timeout.count(),
                                       " s (distributed.timeout_s) for ", base::join(missing, ", "), " of ", ranks.size,
                                       " to start"));
  }
}

std::shared_ptr<gloo::transport::Device> gloo_device(const Ranks& ranks) {
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  if (interface != nullptr && *interface != '\0') return c10d::ProcessGroupGloo::createDeviceForInterface(interface);
  const std::string address = ranks.one_host ? "127.0.0.1" : local_address(ranks.host, ranks.port);
  if (address.empty()) return c10d::ProcessGroupGloo::createDefaultDevice();
  return c10d::ProcessGroupGloo::createDeviceForHostname(address);
}

// One write, so that the lines of several ranks on one terminal stay whole. The error path's flushes and destructors
// are left out: a thread of this process may hold any lock.
[[noreturn]] void end_process(const std::string& message, int exit_code) {
  const std::string line = "error: " + message + "\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, line.data(), line.size());
  _exit(exit_code);
}

// The watch of this process, for report_failure after its communicator is gone.
std::mutex current_mutex;
std::shared_ptr<Watch> current_watch;

void set_current(std::shared_ptr<Watch> watch) {
  const std::lock_guard lock(current_mutex);
  current_watch = std::move(watch);
}

bool is_known(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
    case at::kDouble:
    case at::kHalf:
    case at::kBFloat16:
    case at::kChar:
    case at::kByte:
    case at::kInt:
    case at::kLong:
      return true;
    default:
      return false;
  }
}

/// A tensor as a process group takes it: dense, flat, and on the CPU unless the group is its device's. store() brings
/// back what a collective wrote.
class Staged {
 public:
  Staged(const at::Tensor& tensor, bool stays) : original_(tensor.detach()) {
    GRPO_CHECK(is_known(tensor.scalar_type()), "a collective was given ", tensor.dtype());
    flat = (stays ? original_ : original_.to(at::kCPU)).contiguous().view({-1});
  }
  void store() {
    if (flat.data_ptr() != original_.data_ptr()) original_.copy_(flat.view(original_.sizes()));
  }
  at::Tensor flat;

 private:
  at::Tensor original_;
};

/// How often a rank sends the tensor in Gloo's broadcast, a binomial tree.
int64_t broadcast_sends(int64_t rank, int64_t root, int64_t size) {
  const int64_t position = (rank + size - root) % size;
  int64_t sends = 0;
  for (int64_t step = 1; step < size && (position & step) == 0; step *= 2) sends += position + step < size ? 1 : 0;
  return sends;
}

class ProcessGroupCommunicator : public Communicator {
 public:
  ProcessGroupCommunicator(const Ranks& ranks, int64_t timeout_s, std::shared_ptr<Watch> watch,
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

  // While an exception destroys this, the watch goes on until report_failure has told the others.
  ~ProcessGroupCommunicator() override {
    minder_.reset();
    if (device_group_ && std::uncaught_exceptions() > 0) device_group_->abort();  // does not wait for those that failed
    if (std::uncaught_exceptions() > 0) return;
    watch_->leave(std::chrono::seconds(timeout_s_));
    if (device_group_) device_group_->shutdown();  // all ranks are here; its destructor alone would warn of a leak
    set_current(nullptr);
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
  c10::intrusive_ptr<c10d::Backend>
      device_group_;                    // NCCL for tensors on CUDA; null: they are copied to the CPU and back
  std::unique_ptr<WorkMinder> minder_;  // of the device group's works
  int64_t bytes_sent_ = 0;
};

// c10d's work, which has started, and what is left to do when it is done. A thread of Gloo's moves it meanwhile.
class ProcessGroupCommunicator::Underway : public Pending {
 public:
  Underway(ProcessGroupCommunicator& owner, Started started, Work work, std::function<void()> finish)
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
  ProcessGroupCommunicator& owner_;
  Started started_;
  Work work_;  // null when there is nothing to send, or it is done
  std::function<void()> finish_;
};

template <typename Body>
std::invoke_result_t<Body> ProcessGroupCommunicator::guarded(const Started& started, const Body& body) {
  try {
    return body();
  } catch (const std::exception& error) {
    give_up(started, error);
  }
}

template <typename Body, typename Finish>
std::unique_ptr<Pending> ProcessGroupCommunicator::start(const std::string& name, bool on_device, const Body& body,
                                                         Finish finish) {
  Started started{.name = name, .number = watch_->start_collective(name), .began = Clock::now()};
  Work work = guarded(started, body);
  if (minder_ && work && on_device) minder_->mind(started, work);
  return std::make_unique<Underway>(*this, std::move(started), std::move(work), std::move(finish));
}

template <typename Body>
void ProcessGroupCommunicator::collective(const std::string& name, const Body& body) {
  const Started started{.name = name, .number = watch_->start_collective(name), .began = Clock::now()};
  watch_->await_collective(started.number, name);
  guarded(started, body);
  watch_->leave_collective();
}

void ProcessGroupCommunicator::give_up(const Started& started, const std::exception& error) {
  const bool timed_out = Clock::now() - started.began >= std::chrono::milliseconds(900 * timeout_s_);
  if (!timed_out) {
    std::this_thread::sleep_for(kVerdict);
    throw base::DistError(
        base::concat("rank ", ranks_.rank, ": ", started.name, " failed: ", base::first_line(error.what())));
  }
  throw base::DistError(waited_message(started, base::first_line(error.what())));
}

std::string ProcessGroupCommunicator::waited_message(const Started& started, const std::string& otherwise) {
  try {
    watch_->await_collective(started.number, started.name);
    return missing_message(ranks_.rank, watch_->ask(), timeout_s_);
  } catch (const std::exception&) {
    return base::concat("rank ", ranks_.rank, ": ", started.name, " waited ", timeout_s_,
                        " s (distributed.timeout_s): ", otherwise);
  }
}

// Gloo's ring: each part of the tensor is summed on one rank and then passed round, hence the same bits everywhere.
std::unique_ptr<Pending> ProcessGroupCommunicator::start_all_reduce(const at::Tensor& tensor,
                                                                    c10d::ReduceOp::RedOpType operation,
                                                                    const char* name) {
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

void ProcessGroupCommunicator::broadcast(at::Tensor& tensor, int64_t root) {
  check_tensor(tensor);
  GRPO_CHECK(root >= 0 && root < ranks_.size, "broadcast from rank ", root, " of ", ranks_.size);
  Staged staged(tensor, stays(tensor));
  collective("broadcast", [&] {
    if (staged.flat.numel() == 0) return;
    std::vector<at::Tensor> tensors = {staged.flat};
    group_of(tensor).broadcast(tensors, {.rootRank = root})->wait();
  });
  staged.store();
  bytes_sent_ += static_cast<int64_t>(staged.flat.nbytes()) * broadcast_sends(ranks_.rank, root, ranks_.size);
}

void ProcessGroupCommunicator::barrier(const std::string& name) {
  check_name(name);
  collective("barrier \"" + name + "\"", [&] { group_->barrier()->wait(); });
}

int64_t ProcessGroupCommunicator::meet(const std::string& name, int64_t value, const std::function<void()>& meanwhile) {
  check_name(name);
  int64_t sum = 0;
  collective("meeting \"" + name + "\"",
             [&] { sum = watch_->meet(value, std::chrono::seconds(timeout_s_), meanwhile); });
  return sum;
}

void ProcessGroupCommunicator::gather_flat(at::Tensor output, at::Tensor input) {
  if (input.numel() == 0) return;
  group_->_allgather_base(output, input)->wait();
  bytes_sent_ += static_cast<int64_t>(input.nbytes()) * (ranks_.size - 1);
}

std::unique_ptr<Pending> ProcessGroupCommunicator::start_all_gather_into(const at::Tensor& output,
                                                                         const at::Tensor& input) {
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

// Parts of all ranks, [ranks, n], added up in the order of ranks.
void add_parts(const at::Tensor& output, const at::Tensor& parts) {
  const auto dtype = is_narrow(parts) ? at::kFloat : parts.scalar_type();
  const bool in_place = output.scalar_type() == dtype && output.is_contiguous() && output.device() == parts.device();
  at::Tensor sum = in_place ? output.detach().view({-1}) : at::empty({parts.size(1)}, parts.options().dtype(dtype));
  sum.copy_(parts[0]);
  for (int64_t r = 1; r < parts.size(0); ++r) sum.add_(parts[r]);
  if (!in_place) output.detach().copy_(sum.view(output.sizes()));
}

// Gloo's own reduce-scatter is an all-reduce of the whole input, and NCCL's rounds 16-bit sums at each hop. Here each
// part goes straight to the rank that adds it up, in the order of the ranks; NCCL adds fp32 itself.
std::unique_ptr<Pending> ProcessGroupCommunicator::start_reduce_scatter_sum(const at::Tensor& output,
                                                                            const at::Tensor& input) {
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

// The lengths first, then everyone's bytes filled up to the longest.
std::vector<std::string> ProcessGroupCommunicator::gather_bytes(const std::string& bytes) {
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

std::vector<std::string> ProcessGroupCommunicator::all_gather_bytes(const std::string& bytes) {
  std::vector<std::string> all;
  collective("all_gather_bytes", [&] { all = gather_bytes(bytes); });
  return all;
}

std::vector<std::vector<double>> ProcessGroupCommunicator::all_gather(const std::vector<double>& values) {
  std::vector<std::string> all;
  const std::string bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double));
  collective("all_gather", [&] { all = gather_bytes(bytes); });
  std::vector<std::vector<double>> out;
  for (const auto& text : all) {
    out.emplace_back(text.size() / sizeof(double));
    std::memcpy(out.back().data(), text.data(), text.size());
  }
  return out;
}

c10::intrusive_ptr<c10d::ProcessGroupGloo> connect_gloo(const Ranks& ranks, const StorePointer& store,
                                                        std::chrono::seconds timeout) {
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  try {
    options->devices.push_back(gloo_device(ranks));
    const auto keys = c10::make_intrusive<c10d::PrefixStore>("gloo", store);
    return c10::make_intrusive<c10d::ProcessGroupGloo>(keys, static_cast<int>(ranks.rank), static_cast<int>(ranks.size),
                                                       options);
  } catch (const std::exception& error) {
    throw base::DistError(base::concat("rank ", ranks.rank, " on host ", host_name(),
                                       " cannot connect to the other ranks (", base::first_line(error.what()),
                                       "); GLOO_SOCKET_IFNAME names the network interface to use"));
  }
}

std::string device_key(int64_t rank) { return "device/" + std::to_string(rank); }

// Whether every rank has a CUDA device of its own and NCCL: the same answer on each.
bool can_use_nccl(KeyValue& store, const Ranks& ranks, Backend backend) {
  if (backend == Backend::kGloo) return false;
  std::vector<std::string> keys;
  for (int64_t r = 0; r < ranks.size; ++r) keys.push_back(device_key(r));
  const auto problems = store.get(keys);
  const auto first =
      std::find_if(problems.begin(), problems.end(), [](const std::string& problem) { return !problem.empty(); });
  if (first == problems.end()) return true;
  const std::string which = base::concat("rank ", first - problems.begin(), ": ", *first);
  if (backend == Backend::kNccl) throw base::ConfigError("distributed.backend: nccl: " + which + "; use auto or gloo");
  if (ranks.rank == 0 && problems[0] != kNoDevices)
    base::log_warning("distributed.backend: no NCCL, tensors on GPUs go through the CPU: " + which);
  return false;
}

}  // namespace

std::unique_ptr<Communicator> join_process_group(const Ranks& ranks, const DistributedConfig& config) {
  const std::chrono::seconds timeout(config.timeout_s);
  const StorePointer store = connect(ranks, ranks.hosts_store, timeout);
  auto values = std::make_unique<StoreValues>(store);
  if (ranks.rank == 0) Watch::prepare(*values);
  if (config.backend != Backend::kGloo) values->set(device_key(ranks.rank), nccl_problem(ranks.local_rank));
  Watch::announce(*values, ranks.rank, host_name());
  wait_for_all(*store, ranks, timeout);
  const bool devices_can_meet = can_use_nccl(*values, ranks, config.backend);
  WatchOptions options{.rank = ranks.rank, .size = ranks.size, .hosts_store = ranks.hosts_store, .host = host_name()};
  options.drill = drill_from(process_environment(), ranks.size);
  if (!ranks.attempt.empty())
    options.other_store = base::concat("the store of torchrun's agent at ", ranks.host, ":", ranks.port);
  auto watch = std::make_shared<Watch>(options, std::make_unique<StoreValues>(connect(ranks, false, timeout)),
                                       std::move(values), end_process);
  watch->start();
  set_current(watch);
  auto group = connect_gloo(ranks, store, timeout);
  c10::intrusive_ptr<c10d::Backend> device_group;
  if (devices_can_meet) {
    // The minder names who is missing before NCCL's own watchdog ends the process.
    device_group = make_nccl_group(c10::make_intrusive<c10d::PrefixStore>("nccl", store), ranks.rank, ranks.size,
                                   timeout + kBeforeNccl);
  }
  return std::make_unique<ProcessGroupCommunicator>(ranks, config.timeout_s, std::move(watch), std::move(group),
                                                    std::move(device_group));
}

void report_failure(const std::string& message, int exit_code) {
  std::shared_ptr<Watch> watch;
  {
    const std::lock_guard lock(current_mutex);
    watch = std::exchange(current_watch, nullptr);
  }
  if (watch) watch->report(message, exit_code);
}

}  // namespace grpo::dist
