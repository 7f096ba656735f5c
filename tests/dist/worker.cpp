// One rank of the tests in process_group_test.cpp: grpo_dist_worker SCENARIO TIMEOUT_S, with torchrun's variables set.
// Or torchrun's agent, as far as the ranks see it: grpo_dist_worker agent PORT.
#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "grpo/base/error.h"
#include "grpo/base/random.h"
#include "grpo/dist/communicator.h"

namespace grpo::dist {
namespace {

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

void sleep_for_a_minute() { std::this_thread::sleep_for(std::chrono::seconds(60)); }

uint64_t bits_of(const at::Tensor& tensor) {
  const auto dense = tensor.contiguous();
  return base::stream_id({static_cast<const char*>(dense.data_ptr()), dense.nbytes()});
}

void expect(bool condition, const std::string& what) {
  if (!condition) throw base::Error("wrong result of " + what);
}

// Rank r's values: reproducible anywhere, so that every rank can compute the expected result by itself.
at::Tensor values_of(int64_t rank, int64_t count, at::ScalarType dtype) {
  auto out = at::empty({count}, at::kDouble);
  for (int64_t i = 0; i < count; ++i) {
    out[i] = base::normal({.seed = 7, .stream = 1}, static_cast<uint64_t>(rank), static_cast<uint32_t>(i));
  }
  return (c10::isIntegralType(dtype, false) ? out * 50 : out).to(dtype);
}

std::vector<at::Tensor> all_values(int64_t size, int64_t count, at::ScalarType dtype) {
  std::vector<at::Tensor> all;
  for (int64_t r = 0; r < size; ++r) all.push_back(values_of(r, count, dtype));
  return all;
}

bool near(const at::Tensor& a, const at::Tensor& b, at::ScalarType dtype) {
  const double tolerance = dtype == at::kBFloat16 ? 0.06 : dtype == at::kFloat ? 1e-5 : 1e-12;
  return at::allclose(a.to(at::kDouble), b.to(at::kDouble), tolerance, tolerance);
}

// Each collective on `count` elements a rank; prints the bits of what every rank has to hold alike.
void check_collectives(Communicator& ranks, at::ScalarType dtype, int64_t count) {
  const int64_t size = ranks.size(), rank = ranks.rank();
  const auto all = all_values(size, count, dtype);
  const auto stacked = at::stack(all);
  const std::string where = base::concat(" of ", count, " ", dtype);

  auto sum = values_of(rank, count, dtype);
  ranks.all_reduce_sum(sum);
  expect(near(sum, stacked.to(at::kDouble).sum(0), dtype), "all_reduce_sum" + where);
  auto max = values_of(rank, count, dtype);
  ranks.all_reduce_max(max);
  expect(max.equal(stacked.amax(0)), "all_reduce_max" + where);
  for (int64_t root = 0; root < size; ++root) {
    auto copy = values_of(rank, count, dtype);
    ranks.broadcast(copy, root);
    expect(copy.equal(all[static_cast<size_t>(root)]), "broadcast" + where);
  }
  auto gathered = at::empty({size, count}, dtype);
  ranks.all_gather_into(gathered, values_of(rank, count, dtype));
  expect(gathered.equal(stacked), "all_gather_into" + where);
  auto part = at::empty({count}, dtype);
  ranks.reduce_scatter_sum(part, values_of(rank, size * count, dtype).view({size, count}));
  const auto whole = at::stack(all_values(size, size * count, dtype)).to(at::kDouble).sum(0).view({size, count});
  expect(near(part, whole[rank], dtype), "reduce_scatter_sum" + where);
  say(base::concat("bits", where, ": ", bits_of(sum), " ", bits_of(max), " ", bits_of(gathered)));
}

// A column of a matrix is not dense: the result must still land in it, and only there.
void check_strides(Communicator& ranks) {
  auto matrix = at::ones({3, 2});
  auto column = matrix.select(1, 1);
  ranks.all_reduce_sum(column);
  expect(matrix.select(1, 0).equal(at::ones({3})), "all_reduce_sum beside a column");
  expect(matrix.select(1, 1).equal(at::full({3}, static_cast<float>(ranks.size()))), "all_reduce_sum of a column");
}

void check_bytes(Communicator& ranks) {
  const auto text_of = [](int64_t rank) {
    return std::string(static_cast<size_t>(rank) * 1000, static_cast<char>('a' + rank));
  };
  const auto texts = ranks.all_gather_bytes(text_of(ranks.rank()));
  const auto values = ranks.all_gather(std::vector<double>(static_cast<size_t>(ranks.rank()), 0.5));
  for (int64_t r = 0; r < ranks.size(); ++r) {
    expect(texts.at(static_cast<size_t>(r)) == text_of(r), "all_gather_bytes");
    expect(values.at(static_cast<size_t>(r)) == std::vector<double>(static_cast<size_t>(r), 0.5), "all_gather");
  }
  for (const auto& text : ranks.all_gather_bytes("")) expect(text.empty(), "all_gather_bytes of nothing");
}

// Several at once, waited for in another order than they were started in, beside one that is not.
void check_under_way(Communicator& ranks) {
  const int64_t size = ranks.size();
  std::vector<at::Tensor> sums, parts, wholes, inputs;
  std::vector<std::unique_ptr<Pending>> pending;
  for (int64_t i = 0; i < 6; ++i) {
    sums.push_back(values_of(ranks.rank() + i, 1000, at::kFloat));
    pending.push_back(ranks.start_all_reduce_sum(sums.back()));
    inputs.push_back(values_of(ranks.rank() + i, 100 * size, at::kFloat));
    parts.push_back(at::empty({100}));
    pending.push_back(ranks.start_reduce_scatter_sum(parts.back(), inputs.back()));
    wholes.push_back(at::empty({1000 * size}));
    inputs.push_back(values_of(ranks.rank() + i, 1000, at::kFloat));
    pending.push_back(ranks.start_all_gather_into(wholes.back(), inputs.back()));
  }
  auto beside = values_of(ranks.rank(), 10, at::kFloat);
  ranks.all_reduce_sum(beside);
  for (auto last = pending.rbegin(); last != pending.rend(); ++last) (*last)->wait();
  pending.front()->wait();
  for (int64_t i = 0; i < 6; ++i) {
    auto sum = values_of(ranks.rank() + i, 1000, at::kFloat);
    ranks.all_reduce_sum(sum);
    expect(sum.equal(sums[static_cast<size_t>(i)]), "all_reduce_sum under way");
    auto part = at::empty({100});
    ranks.reduce_scatter_sum(part, values_of(ranks.rank() + i, 100 * size, at::kFloat));
    expect(part.equal(parts[static_cast<size_t>(i)]), "reduce_scatter_sum under way");
    for (int64_t r = 0; r < size; ++r) {
      expect(wholes[static_cast<size_t>(i)].narrow(0, r * 1000, 1000).equal(values_of(r + i, 1000, at::kFloat)),
             "all_gather_into under way");
    }
  }
}

// 16-bit parts are added up in fp32, and rounded only where the result is narrow.
void check_narrow_sums(Communicator& ranks) {
  const int64_t size = ranks.size();
  auto expected = at::zeros({50});
  for (int64_t r = 0; r < size; ++r)
    expected += values_of(r, 50 * size, at::kBFloat16).narrow(0, 50 * ranks.rank(), 50);
  auto exact = at::empty({50}), rounded = at::empty({50}, at::kBFloat16);
  ranks.reduce_scatter_sum(exact, values_of(ranks.rank(), 50 * size, at::kBFloat16));
  ranks.reduce_scatter_sum(rounded, values_of(ranks.rank(), 50 * size, at::kBFloat16));
  expect(exact.equal(expected), "reduce_scatter_sum of bf16 into fp32");
  expect(rounded.equal(expected.to(at::kBFloat16)), "reduce_scatter_sum of bf16");
}

void check_meetings(Communicator& ranks) {
  const int64_t size = ranks.size();
  for (int64_t round = 1; round <= 3; ++round) {
    expect(ranks.meet("round", round * ranks.rank()) == round * size * (size - 1) / 2, "meet");
  }
  expect(ranks.add_shared("numbers", ranks.rank() + 1) > ranks.rank(), "add_shared");
  ranks.meet("all have added", 0);
  expect(ranks.add_shared("numbers", 0) == size * (size + 1) / 2, "add_shared of all");
  expect(ranks.add_shared("other numbers", 0) == 0, "add_shared at first");
}

void collectives(Communicator& ranks) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kLong, at::kDouble}) {
    for (const int64_t count : {0, 1, 7, 1000}) check_collectives(ranks, dtype, count);
  }
  check_strides(ranks);
  check_under_way(ranks);
  check_narrow_sums(ranks);
  check_bytes(ranks);
  check_meetings(ranks);
  ranks.barrier("end of the test");
}

void count_bytes(Communicator& ranks) {
  int64_t before = 0;
  const auto tell = [&](const std::string& name) {
    say(base::concat("sent ", name, " ", ranks.bytes_sent() - before));
    before = ranks.bytes_sent();
  };
  auto whole = at::zeros({ranks.size() * 100});
  auto part = at::zeros({100});
  ranks.all_reduce_sum(whole);
  tell("all_reduce");
  ranks.reduce_scatter_sum(part, whole);
  tell("reduce_scatter");
  ranks.all_gather_into(whole, part);
  tell("all_gather");
  ranks.broadcast(part, 1);
  tell("broadcast");
  ranks.all_gather_bytes("abc");
  tell("bytes");
  ranks.barrier("count");
  tell("barrier");
}

// Rank 1 is what goes wrong; the others work for a long time and come to no collective.
void one_throws(Communicator& ranks) {
  ranks.enter_phase("step 3, checkpoint");
  if (ranks.rank() == 1) throw base::IoError("runs/a/model.safetensors: no space left on device");
  sleep_for_a_minute();
}

void the_first_throws(Communicator& ranks) {
  ranks.enter_phase("step 3, checkpoint");
  if (ranks.rank() == 0) throw base::IoError("runs/a/model.safetensors: no space left on device");
  sleep_for_a_minute();
}

void one_is_configured_wrongly(Communicator& ranks) {
  if (ranks.rank() == 1) throw base::ConfigError("data.train: nowhere.jsonl: no such file");
  sleep_for_a_minute();
}

// The test kills or stops a rank when all are ready.
void work_alone(Communicator& ranks) {
  ranks.enter_phase("step 5, rollout");
  ranks.barrier("begin");
  std::this_thread::sleep_for(std::chrono::milliseconds(2500));  // until all know the phase
  say("ready");
  sleep_for_a_minute();
}

void meet_again_and_again(Communicator& ranks) {
  ranks.enter_phase("step 5, update");
  auto tensor = at::ones({1000});
  for (int round = 0;; ++round) {
    ranks.all_reduce_sum(tensor);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (round == 125) say("ready");
  }
}

void one_never_comes(Communicator& ranks) {
  ranks.barrier("begin");
  ranks.enter_phase(ranks.rank() == 1 ? "step 2, reward" : "step 2, update");
  if (ranks.rank() == 1) sleep_for_a_minute();
  auto tensor = at::ones({10});
  ranks.all_reduce_sum(tensor);
}

// The first collective is done by all, the second not: the first that is waited for is named, though more have started.
void one_never_comes_to_those_under_way(Communicator& ranks) {
  ranks.barrier("begin");
  ranks.enter_phase(ranks.rank() == 1 ? "step 2, reward" : "step 2, update");
  auto a = at::ones({10}), b = at::ones({10}), part = at::empty({10}), whole = at::ones({10 * ranks.size()});
  auto first = ranks.start_all_reduce_sum(a);
  if (ranks.rank() == 1) {
    first->wait();
    sleep_for_a_minute();
  }
  auto second = ranks.start_reduce_scatter_sum(part, whole);
  auto third = ranks.start_all_reduce_sum(b);
  first->wait();
  second->wait();
}

at::Device use_own_device(const Communicator& ranks) {
  const at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(ranks.local_rank()));
  c10::impl::VirtualGuardImpl(device.type()).setDevice(device);
  return device;
}

void device_collectives(Communicator& ranks) {
  const auto device = use_own_device(ranks);
  const int64_t size = ranks.size();
  const auto values = [&](int64_t rank, at::ScalarType dtype) { return values_of(rank, 100 * size, dtype); };
  auto total = at::zeros({100 * size});
  for (int64_t r = 0; r < size; ++r) total += values(r, at::kFloat);
  auto narrow = at::zeros({100});
  for (int64_t r = 0; r < size; ++r) narrow += values(r, at::kBFloat16).narrow(0, 100 * ranks.rank(), 100);
  auto sum = values(ranks.rank(), at::kFloat).to(device);
  auto part = at::empty({100}, sum.options()), exact = at::empty_like(part), whole = at::empty_like(sum);
  const auto inputs = values(ranks.rank(), at::kFloat).to(device),
             narrow_inputs = values(ranks.rank(), at::kBFloat16).to(device);
  auto a = ranks.start_all_reduce_sum(sum), b = ranks.start_reduce_scatter_sum(part, inputs);
  auto c = ranks.start_reduce_scatter_sum(exact, narrow_inputs);
  for (const auto& pending : {a.get(), b.get(), c.get()}) pending->wait();
  ranks.all_gather_into(whole, part);
  expect(near(sum.cpu(), total, at::kFloat), "all_reduce_sum on a device");
  expect(near(part.cpu(), total.narrow(0, 100 * ranks.rank(), 100), at::kFloat), "reduce_scatter_sum on a device");
  expect(exact.cpu().equal(narrow), "reduce_scatter_sum of bf16 on a device");
  expect(near(whole.cpu(), total, at::kFloat), "all_gather_into on a device");
}

void one_never_comes_to_a_device(Communicator& ranks) {
  const auto device = use_own_device(ranks);
  auto tensor = at::ones({10}, at::TensorOptions(device));
  ranks.all_reduce_sum(tensor);
  ranks.barrier("begin");
  ranks.enter_phase(ranks.rank() == 1 ? "step 2, reward" : "step 2, update");
  if (ranks.rank() == 1) sleep_for_a_minute();
  ranks.all_reduce_sum(tensor);
  tensor.cpu();  // waits for the device, not for the collective
}

// What a device's ranks have before something happens to one of them.
at::Tensor begin_on_device(Communicator& ranks) {
  auto tensor = at::ones({10}, at::TensorOptions(use_own_device(ranks)));
  ranks.all_reduce_sum(tensor);
  ranks.barrier("begin");
  return tensor;
}

void expect_all(const at::Tensor& tensor, double value, const std::string& what) {
  expect(tensor.cpu().equal(at::full({tensor.numel()}, value, at::kFloat)), what);
}

void one_is_late_to_a_device(Communicator& ranks) {
  auto tensor = begin_on_device(ranks);
  if (ranks.rank() == 1) std::this_thread::sleep_for(std::chrono::seconds(2));
  ranks.all_reduce_sum(tensor);
  expect_all(tensor, static_cast<double>(ranks.size() * ranks.size()), "all_reduce_sum with a late rank");
}

void one_dies_beside_a_device(Communicator& ranks) {
  auto tensor = begin_on_device(ranks);
  if (ranks.rank() == 1) std::_Exit(9);
  ranks.all_reduce_sum(tensor);
  tensor.cpu();
}

void one_brings_another_size_to_a_device(Communicator& ranks) {
  begin_on_device(ranks);
  auto tensor = at::ones({ranks.rank() == 1 ? 11 : 10}, at::TensorOptions(use_own_device(ranks)));
  ranks.all_reduce_sum(tensor);
  tensor.cpu();
}

// Reads a sum that is under way, and again when it is there.
void one_forgets_to_wait_on_a_device(Communicator& ranks) {
  auto tensor = begin_on_device(ranks);
  if (ranks.rank() == 1) std::this_thread::sleep_for(std::chrono::seconds(1));
  const auto pending = ranks.start_all_reduce_sum(tensor);
  if (ranks.rank() == 0)
    say(tensor.cpu()[0].item<float>() == static_cast<float>(ranks.size()) ? "read too early" : "read in time");
  pending->wait();
  expect_all(tensor, static_cast<double>(ranks.size() * ranks.size()), "all_reduce_sum that was waited for");
}

void one_is_late_to_end(Communicator& ranks) {
  if (ranks.rank() == 1) std::this_thread::sleep_for(std::chrono::seconds(9));  // longer than silence would be allowed
}

const std::map<std::string, std::function<void(Communicator&)>> kScenarios = {
    {"collectives", collectives},
    {"count_bytes", count_bytes},
    {"one_throws", one_throws},
    {"the_first_throws", the_first_throws},
    {"one_is_configured_wrongly", one_is_configured_wrongly},
    {"work_alone", work_alone},
    {"meet_again_and_again", meet_again_and_again},
    {"one_never_comes", one_never_comes},
    {"one_never_comes_to_those_under_way", one_never_comes_to_those_under_way},
    {"device_collectives", device_collectives},
    {"one_never_comes_to_a_device", one_never_comes_to_a_device},
    {"one_is_late_to_a_device", one_is_late_to_a_device},
    {"one_dies_beside_a_device", one_dies_beside_a_device},
    {"one_brings_another_size_to_a_device", one_brings_another_size_to_a_device},
    {"one_forgets_to_wait_on_a_device", one_forgets_to_wait_on_a_device},
    {"one_is_late_to_end", one_is_late_to_end},
};

void be_the_agent(int port) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(port);
  options.isServer = true;
  options.waitWorkers = false;
  const c10d::TCPStore store("127.0.0.1", options);
  sleep_for_a_minute();
}

int fail(const std::exception& error, int exit_code) {
  report_failure(error.what(), exit_code);
  std::fprintf(stderr, "error: %s\n", error.what());
  return exit_code;
}

}  // namespace
}  // namespace grpo::dist

int main(int argc, char** argv) {
  // As in the program: a write to the store of a rank that was killed is an error then, and not the end of this rank.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    if (argc != 3) throw grpo::base::ConfigError("usage: grpo_dist_worker SCENARIO TIMEOUT_S");
    if (std::string(argv[1]) == "agent") {
      grpo::dist::be_the_agent(std::atoi(argv[2]));
      return 0;
    }
    const bool on_devices = std::string(argv[1]).find("device") != std::string::npos;
    const auto ranks =
        grpo::dist::make_communicator({.backend = on_devices ? grpo::dist::Backend::kNccl : grpo::dist::Backend::kAuto,
                                       .timeout_s = std::atoll(argv[2])});
    grpo::dist::kScenarios.at(argv[1])(*ranks);
    return 0;
  } catch (const grpo::base::ConfigError& error) {
    return grpo::dist::fail(error, 2);
  } catch (const std::exception& error) {
    return grpo::dist::fail(error, 1);
  }
}
