#include "device/nccl/clique.h"

#include <cstdio>

#include "device/nccl/operations.h"

namespace grpo::device_nccl {
namespace {

thread_local std::string last_text;

struct Queued {
  ncclComm_t comm = nullptr;
  cudaStream_t stream = nullptr;
  std::vector<Operation> operations;
};

thread_local int depth = 0;
thread_local std::vector<Queued> queue;

void launch(const Queued& queued) {
  queued.comm->order.launch(queued.stream, [ranks = queued.comm->ranks, operations = queued.operations] {
    ranks->run([&] { run(*ranks, operations); });
  });
}

void check(bool holds, const char* what) {
  if (!holds) throw Failure(ncclInvalidArgument, what);
}

bool needs_input(const Call& call, int rank) {
  const bool from_root = call.kind == Kind::kBroadcast || call.kind == Kind::kScatter;
  return call.kind != Kind::kReceive && (!from_root || call.root == rank);
}

bool needs_output(const Call& call, int rank) {
  const bool to_root = call.kind == Kind::kReduce || call.kind == Kind::kGather;
  return call.kind != Kind::kSend && (!to_root || call.root == rank);
}

void check_arguments(const Communicator& ranks, const Operation& operation) {
  const Call& call = operation.call;
  check(call.type >= 0 && call.type < ncclNumTypes, "no such data type");
  check(call.root >= 0 && call.root < ranks.ranks(), "no such root");
  check(operation.peer >= 0 && operation.peer < ranks.ranks(), "no such peer");
  check(operation.in != nullptr || !needs_input(call, ranks.rank()), "no send buffer");
  check(operation.out != nullptr || !needs_output(call, ranks.rank()), "no receive buffer");
}

// An operator that was made at run time adds values that its factor has scaled.
void resolve_operator(ncclComm& comm, Operation& operation) {
  const int made = operation.call.reduction - ncclNumOps;
  if (made < 0) return;
  const std::lock_guard lock(comm.mutex);
  check(static_cast<size_t>(made) < comm.factors.size(), "no such operator");
  operation.factor = comm.factors[static_cast<size_t>(made)];
  check(operation.factor.type == operation.call.type, "the operator was made for another data type");
  operation.scaled = true;
  operation.call.reduction = ncclNumOps;
}

}  // namespace

const char* last_error_text() { return last_text.c_str(); }

void remember_error(const std::string& text) { last_text = text; }

ncclResult_t refuse(const Failure& failure) {
  remember_error(failure.what());
  if (failure.code != ncclInProgress) std::fprintf(stderr, "nccl on the host device: %s\n", failure.what());
  return failure.code;
}

ncclComm& usable(ncclComm_t comm) {
  check(comm != nullptr, "no communicator");
  if (comm->ranks->aborted()) throw Failure(ncclInvalidUsage, "the communicator was aborted");
  const ncclResult_t error = comm->ranks->error();
  if (error != ncclSuccess)
    throw Failure(error == ncclInProgress ? ncclInvalidUsage : error,
                  "the communicator is not ready: " + comm->ranks->last_error());
  return *comm;
}

void begin_group() { ++depth; }

bool in_group() { return depth > 0; }

void end_group(bool forget) {
  if (depth == 0) throw Failure(ncclInvalidUsage, "ncclGroupEnd without ncclGroupStart");
  if (--depth > 0) return;
  const auto ended = std::move(queue);
  queue.clear();
  if (forget) return;
  for (const auto& queued : ended) launch(queued);
}

void enqueue(ncclComm_t comm, cudaStream_t stream, Operation operation) {
  ncclComm& ready = usable(comm);
  if (operation.call.count == 0) return;  // as NCCL: no part is taken
  check_arguments(*ready.ranks, operation);
  resolve_operator(ready, operation);
  if (!in_group()) return launch({comm, stream, {operation}});
  for (auto& queued : queue) {
    if (queued.comm == comm && queued.stream == stream) return queued.operations.push_back(operation);
  }
  queue.push_back({comm, stream, {operation}});
}

}  // namespace grpo::device_nccl
