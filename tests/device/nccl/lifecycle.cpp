// The exported functions that make, split and end communicators.
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "device/nccl/clique.h"

namespace grpo::device_nccl {
namespace {

constexpr unsigned kMagic = 0xcafebeef;  // NCCL_CONFIG_INITIALIZER's

bool blocks(const ncclConfig_t* config) {
  if (config == nullptr) return true;
  if (config->magic != kMagic) throw Failure(ncclInvalidArgument, "the configuration was not initialised");
  return config->blocking != 0;
}

std::string name_of(const ncclUniqueId& id) {
  return {static_cast<const char*>(id.internal), strnlen(static_cast<const char*>(id.internal), NCCL_UNIQUE_ID_BYTES)};
}

// Communicators of one process that are made in one group cannot wait for each other.
ncclResult_t make(ncclComm_t* out, const std::string& name, int size, int rank, const ncclConfig_t* config) {
  return guarded([&] {
    if (out == nullptr || size < 1 || size > kMaxRanks || rank < 0 || rank >= size || name.empty())
      throw Failure(ncclInvalidArgument, "rank " + std::to_string(rank) + " of " + std::to_string(size));
    auto comm = std::make_unique<ncclComm>();
    comm->ranks = std::make_shared<Communicator>(name, size, rank);
    if (!blocks(config)) {
      comm->joining = std::jthread([ranks = comm->ranks] { guarded([&] { ranks->join(true); }); });
      *out = comm.release();
      throw Failure(ncclInProgress, "joining");
    }
    comm->ranks->join(!in_group());
    *out = comm.release();
  });
}

struct Place {
  int rank, size;
};

// Where this rank comes in the split: ranks of one colour in the order of their keys.
Place place_in_split(Communicator& ranks, int color, int key) {
  Seat& mine = ranks.segment().seat(ranks.rank());
  mine.color = color;
  mine.key = key;
  ranks.meet_on_host("a split");
  Place place = {.rank = 0, .size = 0};
  for (int rank = 0; rank < ranks.ranks(); ++rank) {
    const Seat& theirs = ranks.segment().seat(rank);
    if (theirs.color != color) continue;
    ++place.size;
    if (std::pair(theirs.key, rank) < std::pair(key, ranks.rank())) ++place.rank;
  }
  ranks.meet_on_host("the end of a split");  // nobody changes its colour before all have read it
  return place;
}

}  // namespace
}  // namespace grpo::device_nccl

using namespace grpo::device_nccl;

ncclResult_t ncclGetVersion(int* version) {
  if (version == nullptr) return ncclInvalidArgument;
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  if (id == nullptr) return ncclInvalidArgument;
  *id = {};
  std::random_device random;
  const std::string name =
      "grpo-nccl-" + std::to_string(getpid()) + "-" + std::to_string(random()) + std::to_string(random());
  std::memcpy(static_cast<char*>(id->internal), name.data(), name.size());
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank, ncclConfig_t* config) {
  return make(comm, name_of(id), size, rank, config);
}

ncclResult_t ncclCommInitRank(ncclComm_t* comm, int size, ncclUniqueId id, int rank) {
  return make(comm, name_of(id), size, rank, nullptr);
}

// Several identifiers only spread the load of a large start.
ncclResult_t ncclCommInitRankScalable(ncclComm_t* comm, int size, int rank, int ids, ncclUniqueId* id,
                                      ncclConfig_t* config) {
  return ids < 1 || id == nullptr ? ncclInvalidArgument : make(comm, name_of(id[0]), size, rank, config);
}

ncclResult_t ncclCommInitAll(ncclComm_t* comms, int size, const int*) {
  return guarded([&] {
    ncclUniqueId id;
    ncclGetUniqueId(&id);
    begin_group();
    for (int rank = 0; rank < size; ++rank) {
      const ncclResult_t result = make(&comms[rank], name_of(id), size, rank, nullptr);
      if (result != ncclSuccess) {
        end_group();
        throw Failure(result, last_error_text());
      }
    }
    end_group();
  });
}

ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* out, ncclConfig_t* config) {
  std::string name;
  Place place = {.rank = 0, .size = 0};
  const ncclResult_t result = guarded([&] {
    ncclComm& parent = usable(comm);
    if (out == nullptr || (color < 0 && color != NCCL_SPLIT_NOCOLOR))
      throw Failure(ncclInvalidArgument, "a split's colour");
    place = place_in_split(*parent.ranks, color, key);
    name = parent.ranks->name() + "-" + std::to_string(++parent.children) + "-" + std::to_string(color);
  });
  if (result != ncclSuccess) return result;
  *out = nullptr;
  return color == NCCL_SPLIT_NOCOLOR ? ncclSuccess : make(out, name, place.size, place.rank, config);
}

ncclResult_t ncclCommShrink(ncclComm_t comm, int* excluded, int count, ncclComm_t* out, ncclConfig_t* config,
                            int flags) {
  if (comm == nullptr || out == nullptr || count < 1 || excluded == nullptr) return ncclInvalidArgument;
  const auto& parent = *comm->ranks;
  const std::vector<int> gone(excluded, excluded + count);
  if (std::find(gone.begin(), gone.end(), parent.rank()) != gone.end()) return ncclInvalidArgument;
  if ((flags & NCCL_SHRINK_ABORT) != 0) comm->ranks->abort();
  const auto before = std::count_if(gone.begin(), gone.end(), [&](int rank) { return rank < parent.rank(); });
  const std::string name = parent.name() + "-" + std::to_string(++comm->children) + "-shrunk";
  return make(out, name, parent.ranks() - count, parent.rank() - static_cast<int>(before), config);
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  return guarded([&] { usable(comm).order.wait(); });
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  return guarded([&] {
    if (comm == nullptr) return;
    const std::unique_ptr<ncclComm> owned(comm);
    if (!owned->ranks->aborted()) owned->order.wait();
  });
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  if (comm == nullptr) return ncclSuccess;
  const std::unique_ptr<ncclComm> owned(comm);
  owned->ranks->abort();
  return ncclSuccess;
}

ncclResult_t ncclCommRevoke(ncclComm_t comm, int) {
  if (comm == nullptr) return ncclInvalidArgument;
  comm->ranks->abort();
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  if (comm == nullptr || error == nullptr) return ncclInvalidArgument;
  *error = comm->ranks->error();
  return ncclSuccess;
}

ncclResult_t ncclCommCount(const ncclComm_t comm, int* count) {
  if (comm == nullptr || count == nullptr) return ncclInvalidArgument;
  *count = comm->ranks->ranks();
  return ncclSuccess;
}

ncclResult_t ncclCommUserRank(const ncclComm_t comm, int* rank) {
  if (comm == nullptr || rank == nullptr) return ncclInvalidArgument;
  *rank = comm->ranks->rank();
  return ncclSuccess;
}
