#include "device/nccl/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "device/nccl/failure.h"

namespace grpo::device_nccl {

struct Segment::Header {
  std::atomic<int32_t> ranks, joined;
  Meeting on_streams, on_hosts;
};

namespace {

constexpr size_t kHeaderBytes = 4096;

struct flock byte_of(int rank) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = rank;
  lock.l_len = 1;
  return lock;
}

[[noreturn]] void fail(const std::string& what) { throw Failure(ncclSystemError, what + ": " + std::strerror(errno)); }

}  // namespace

Segment::Segment(const std::string& name, int ranks, int rank) : name_("/" + name), ranks_(ranks), rank_(rank) {
  static_assert(sizeof(Header) <= kHeaderBytes);
  const auto n = static_cast<size_t>(ranks);
  const size_t bytes = kHeaderBytes + n * sizeof(Seat) + n * n * sizeof(Mailbox);
  file_ = shm_open(name_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (file_ < 0) fail("shm_open " + name_);
  try {
    header_ = static_cast<Header*>(map(bytes));
    struct flock lock = byte_of(rank);
    if (fcntl(file_, F_OFD_SETLK, &lock) != 0)
      throw Failure(ncclInvalidUsage, "rank " + std::to_string(rank) + " is there twice");
    int32_t expected = 0;
    if (!header_->ranks.compare_exchange_strong(expected, ranks) && expected != ranks)
      throw Failure(ncclInvalidUsage,
                    "one rank expects " + std::to_string(expected) + " ranks, another " + std::to_string(ranks));
    ++header_->joined;
  } catch (...) {
    close(file_);
    throw;
  }
}

void* Segment::map(size_t bytes) {
  if (ftruncate(file_, static_cast<off_t>(bytes)) != 0) fail("ftruncate " + name_);
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
  if (memory == MAP_FAILED) fail("mmap " + name_);
  return memory;
}

Segment::~Segment() {
  forget_name();
  const auto n = static_cast<size_t>(ranks_);
  munmap(header_, kHeaderBytes + n * sizeof(Seat) + n * n * sizeof(Mailbox));
  close(file_);
}

int Segment::joined() const { return header_->joined; }

void Segment::forget_name() const { shm_unlink(name_.c_str()); }

bool Segment::is_here(int rank) const {
  if (rank == rank_) return true;
  struct flock lock = byte_of(rank);
  return fcntl(file_, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

void Segment::leave() {
  struct flock lock = byte_of(rank_);
  lock.l_type = F_UNLCK;
  fcntl(file_, F_OFD_SETLK, &lock);
}

Meeting& Segment::on_streams() const { return header_->on_streams; }

Meeting& Segment::on_hosts() const { return header_->on_hosts; }

Seat& Segment::seat(int rank) const {
  return reinterpret_cast<Seat*>(reinterpret_cast<std::byte*>(header_) + kHeaderBytes)[rank];
}

Mailbox& Segment::mailbox(int from, int to) const {
  auto* const first = reinterpret_cast<Mailbox*>(&seat(ranks_));
  return first[from * ranks_ + to];
}

}  // namespace grpo::device_nccl
