#include "device/nccl/collectives.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "device/nccl/arithmetic.h"

// Every collective is one pattern: ranks show blocks of their input to all, chunk by chunk, and each takes of them what
// is its own.

namespace grpo::device_nccl {
namespace {

bool reduces(Kind kind) { return kind == Kind::kAllReduce || kind == Kind::kReduce || kind == Kind::kReduceScatter; }

// The input has a block for every rank.
bool has_block_for_each(Kind kind) {
  return kind == Kind::kReduceScatter || kind == Kind::kAllToAll || kind == Kind::kScatter;
}

bool only_root_shows(Kind kind) { return kind == Kind::kBroadcast || kind == Kind::kScatter; }

bool only_root_takes(Kind kind) { return kind == Kind::kReduce || kind == Kind::kGather; }

class Collective {
 public:
  Collective(Communicator& ranks, const Operation& operation)
      : ranks_(ranks), operation_(operation), call_(operation.call), width_(bytes_of(call_.type)) {}

  void run() {
    come_together();
    for (size_t first = 0; first < call_.count; first += in_a_chunk()) {
      const size_t count = std::min<size_t>(in_a_chunk(), call_.count - first);
      show(first, count);
      ranks_.meet_on_stream(to_string(call_));
      take(first, count);
      ranks_.meet_on_stream(to_string(call_));
    }
  }

 private:
  int blocks() const { return has_block_for_each(call_.kind) ? ranks_.ranks() : 1; }
  size_t in_a_chunk() const { return kChunkBytes / width_ / static_cast<size_t>(blocks()); }
  bool at_root() const { return ranks_.rank() == call_.root; }
  std::byte* chunk_of(int rank) const { return ranks_.segment().seat(rank).chunk; }

  // Nobody writes its next call before all have read this one: the first chunk is a meeting too.
  void come_together() {
    ranks_.segment().seat(ranks_.rank()).call = call_;
    ranks_.meet_on_stream(to_string(call_));
    for (int rank = 0; rank < ranks_.ranks(); ++rank) {
      const Call& theirs = ranks_.segment().seat(rank).call;
      if (!(theirs == call_)) hang(ranks_, rank, call_, theirs);
    }
  }

  void show(size_t first, size_t count) {
    if (only_root_shows(call_.kind) && !at_root()) return;
    for (int block = 0; block < blocks(); ++block) {
      const size_t from = static_cast<size_t>(block) * call_.count + first;
      std::byte* const to = chunk_of(ranks_.rank()) + static_cast<size_t>(block) * count * width_;
      std::memcpy(to, static_cast<const std::byte*>(operation_.in) + from * width_, count * width_);
      if (operation_.scaled) scale(operation_.factor, to, count);
    }
  }

  // Of another rank's chunk what is for this rank.
  const std::byte* mine_of(int rank, size_t count) const {
    return chunk_of(rank) + (blocks() > 1 ? static_cast<size_t>(ranks_.rank()) * count * width_ : 0);
  }

  void take(size_t first, size_t count) {
    if (only_root_takes(call_.kind) && !at_root()) return;
    auto* const out = static_cast<std::byte*>(operation_.out);
    if (reduces(call_.kind)) return take_reduced(out + first * width_, count);
    if (only_root_shows(call_.kind)) {
      std::memcpy(out + first * width_, mine_of(call_.root, count), count * width_);
      return;
    }
    for (int rank = 0; rank < ranks_.ranks(); ++rank) {
      const size_t to = static_cast<size_t>(rank) * call_.count + first;
      std::memcpy(out + to * width_, mine_of(rank, count), count * width_);
    }
  }

  void take_reduced(std::byte* out, size_t count) {
    std::memcpy(out, mine_of(0, count), count * width_);
    for (int rank = 1; rank < ranks_.ranks(); ++rank)
      combine(call_.type, call_.reduction, out, mine_of(rank, count), count);
    if (call_.reduction == ncclAvg) divide(call_.type, out, count, ranks_.ranks());
  }

  Communicator& ranks_;
  const Operation& operation_;
  const Call call_;
  const size_t width_;
};

}  // namespace

void run_collective(Communicator& ranks, const Operation& operation) { Collective(ranks, operation).run(); }

void hang(Communicator& ranks, int rank, const Call& mine, const Call& theirs) {
  std::fprintf(stderr, "nccl on the host device: rank %d called %s, rank %d %s; GPUs would hang, and so does this\n",
               ranks.rank(), to_string(mine).c_str(), rank, to_string(theirs).c_str());
  ranks.wait_until([] { return false; }, "calls that fit together");
  throw Stopped();
}

}  // namespace grpo::device_nccl
