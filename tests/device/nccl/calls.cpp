// The exported functions that move values, and those about errors, groups, operators and memory.
#include <cstring>
#include <nlohmann/json.hpp>

#include "device/nccl/clique.h"

using namespace grpo::device_nccl;

namespace {

ncclResult_t collective(Call call, const void* in, void* out, ncclComm_t comm, cudaStream_t stream) {
  return guarded([&] { enqueue(comm, stream, {.call = call, .in = in, .out = out}); });
}

ncclResult_t message(Kind kind, const void* in, void* out, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                     cudaStream_t stream) {
  return guarded([&] {
    enqueue(comm, stream, {.call = {.kind = kind, .type = type, .count = count}, .in = in, .out = out, .peer = peer});
  });
}

ncclResult_t not_here(const char* what) {
  remember_error(std::string(what) + " needs code that runs on a GPU");
  return ncclInvalidUsage;
}

}  // namespace

ncclResult_t ncclAllReduce(const void* in, void* out, size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t stream) {
  return collective({Kind::kAllReduce, type, op, 0, count}, in, out, comm, stream);
}

ncclResult_t ncclReduce(const void* in, void* out, size_t count, ncclDataType_t type, ncclRedOp_t op, int root,
                        ncclComm_t comm, cudaStream_t stream) {
  return collective({Kind::kReduce, type, op, root, count}, in, out, comm, stream);
}

ncclResult_t ncclBroadcast(const void* in, void* out, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream) {
  return collective({Kind::kBroadcast, type, ncclSum, root, count}, in, out, comm, stream);
}

ncclResult_t ncclBcast(void* values, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                       cudaStream_t stream) {
  return ncclBroadcast(values, values, count, type, root, comm, stream);
}

ncclResult_t ncclReduceScatter(const void* in, void* out, size_t count, ncclDataType_t type, ncclRedOp_t op,
                               ncclComm_t comm, cudaStream_t stream) {
  return collective({Kind::kReduceScatter, type, op, 0, count}, in, out, comm, stream);
}

ncclResult_t ncclAllGather(const void* in, void* out, size_t count, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream) {
  return collective({Kind::kAllGather, type, ncclSum, 0, count}, in, out, comm, stream);
}

ncclResult_t ncclAlltoAll(const void* in, void* out, size_t count, ncclDataType_t type, ncclComm_t comm,
                          cudaStream_t stream) {
  return collective({Kind::kAllToAll, type, ncclSum, 0, count}, in, out, comm, stream);
}

ncclResult_t ncclGather(const void* in, void* out, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                        cudaStream_t stream) {
  return collective({Kind::kGather, type, ncclSum, root, count}, in, out, comm, stream);
}

ncclResult_t ncclScatter(const void* in, void* out, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                         cudaStream_t stream) {
  return collective({Kind::kScatter, type, ncclSum, root, count}, in, out, comm, stream);
}

ncclResult_t ncclSend(const void* in, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return message(Kind::kSend, in, nullptr, count, type, peer, comm, stream);
}

ncclResult_t ncclRecv(void* out, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream) {
  return message(Kind::kReceive, nullptr, out, count, type, peer, comm, stream);
}

ncclResult_t ncclGroupStart() {
  begin_group();
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  return guarded([] { end_group(); });
}

ncclResult_t ncclGroupSimulateEnd(ncclSimInfo_t* info) {
  if (info != nullptr) info->estimatedTime = 0.0F;
  return guarded([] { end_group(/*forget=*/true); });
}

ncclResult_t ncclRedOpCreatePreMulSum(ncclRedOp_t* op, void* scalar, ncclDataType_t type,
                                      ncclScalarResidence_t residence, ncclComm_t comm) {
  return guarded([&] {
    ncclComm& ready = usable(comm);
    if (op == nullptr || scalar == nullptr || type < 0 || type >= ncclNumTypes)
      throw Failure(ncclInvalidArgument, "an operator's arguments");
    Factor factor = {.type = type};
    if (residence == ncclScalarDevice) {
      factor.place = scalar;
    } else {
      std::memcpy(factor.value, scalar, bytes_of(type));
    }
    const std::lock_guard lock(ready.mutex);
    ready.factors.push_back(factor);
    *op = static_cast<ncclRedOp_t>(ncclNumOps + static_cast<int>(ready.factors.size()) - 1);
  });
}

// Numbers are not given out twice, so that a call with a destroyed one is found: its data type fits none.
ncclResult_t ncclRedOpDestroy(ncclRedOp_t op, ncclComm_t comm) {
  if (comm == nullptr || op < ncclNumOps) return ncclInvalidArgument;
  const std::lock_guard lock(comm->mutex);
  const auto made = static_cast<size_t>(op - ncclNumOps);
  if (made >= comm->factors.size()) return ncclInvalidArgument;
  comm->factors[made].type = ncclNumTypes;
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "unhandled cuda error";
    case ncclSystemError:
      return "unhandled system error";
    case ncclInternalError:
      return "internal error";
    case ncclInvalidArgument:
      return "invalid argument";
    case ncclInvalidUsage:
      return "invalid usage";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    case ncclInProgress:
      return "in progress";
    default:
      return "unknown result";
  }
}

const char* ncclGetLastError(ncclComm_t comm) {
  if (comm != nullptr && !comm->ranks->last_error().empty()) remember_error(comm->ranks->last_error());
  return last_error_text();
}

ncclResult_t ncclMemAlloc(void** memory, size_t bytes) {
  return guarded([&] { *memory = device_memory(bytes); });
}

ncclResult_t ncclMemFree(void* memory) {
  return guarded([&] { free_device_memory(memory); });
}

// Registered memory is only faster on GPUs.
ncclResult_t ncclCommRegister(const ncclComm_t comm, void* memory, size_t, void** handle) {
  if (comm == nullptr || handle == nullptr) return ncclInvalidArgument;
  *handle = memory;
  return ncclSuccess;
}

ncclResult_t ncclCommDeregister(const ncclComm_t comm, void*) {
  return comm == nullptr ? ncclInvalidArgument : ncclSuccess;
}

ncclResult_t ncclCommWindowRegister(ncclComm_t, void*, size_t, ncclWindow_t*, int) { return not_here("a window"); }

ncclResult_t ncclCommWindowDeregister(ncclComm_t, ncclWindow_t) { return not_here("a window"); }

extern "C" ncclResult_t ncclDevCommCreate(ncclComm_t, const void*, void*) {
  return not_here("a communicator of the device");
}

extern "C" ncclResult_t ncclDevCommDestroy(ncclComm_t, const void*) { return not_here("a communicator of the device"); }
