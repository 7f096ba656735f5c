#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "device/nccl/call.h"

namespace grpo::device_nccl {

inline constexpr int kMaxRanks = 16;
inline constexpr size_t kChunkBytes = size_t{1} << 18;  // of a rank's values that others read at a time
inline constexpr size_t kPieceBytes = size_t{1} << 16;  // of a message between two ranks

/// How often each rank has arrived at a meeting of all; only rises.
struct Meeting {
  std::array<std::atomic<uint64_t>, kMaxRanks> arrived;
};

/// What one rank shows to the others.
struct Seat {
  Call call;           // the collective that it has come for
  int32_t color, key;  // of a split
  alignas(64) std::byte chunk[kChunkBytes];
};

/// One direction between two ranks, one piece at a time.
struct Mailbox {
  std::atomic<uint64_t> sent, taken;  // pieces
  Call call;                          // of the message that the piece belongs to
  alignas(64) std::byte piece[kPieceBytes];
};

/// Memory that the ranks of a clique share, under a name in the system until all have joined. A rank that holds it has
/// a lock on a byte of it; the system takes the lock back when the process ends, however it ends.
class Segment {
 public:
  /// Throws Failure when a rank of this number is already there, or another rank expects another number of ranks.
  Segment(const std::string& name, int ranks, int rank);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  int joined() const;        // ranks that have ever come
  void forget_name() const;  // once all have joined
  bool is_here(int rank) const;
  /// From now on others see this rank as gone.
  void leave();

  Meeting& on_streams() const;  // of operations
  Meeting& on_hosts() const;    // of splits
  Seat& seat(int rank) const;
  Mailbox& mailbox(int from, int to) const;

 private:
  struct Header;
  void* map(size_t bytes);
  std::string name_;
  int ranks_ = 0, rank_ = 0, file_ = -1;
  Header* header_ = nullptr;
};

}  // namespace grpo::device_nccl
