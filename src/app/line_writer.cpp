#include "app/line_writer.h"

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

namespace grpo::app {
namespace {

using Clock = std::chrono::steady_clock;

// Writes at most PIPE_BUF bytes, which the bytes of other writers do not interrupt. Returns how many were written, or
// -1 with the reason in errno. Waits if the descriptor is non-blocking, as a program that shares it may have made it.
ssize_t write_some(int descriptor, std::string_view bytes) {
  for (;;) {
    const ssize_t count = ::write(descriptor, bytes.data(), std::min<size_t>(bytes.size(), PIPE_BUF));
    if (count >= 0 || (errno != EINTR && errno != EAGAIN)) return count;
    pollfd room{.fd = descriptor, .events = POLLOUT, .revents = 0};
    if (errno == EAGAIN) ::poll(&room, 1, -1);
  }
}

}  // namespace

struct LineWriter::Shared {
  const int descriptor;
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::string> waiting;  // the first one is being written
  size_t waiting_bytes = 0;
  int64_t lost = 0;
  Clock::time_point moved = Clock::now();
  bool gone = false;    // the reader is gone
  bool closed = false;  // no more lines will be added

  bool write(std::string_view bytes);
};

// Returns false if the line cannot be written.
bool LineWriter::Shared::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = gone ? -1 : write_some(descriptor, bytes);
    const int error = errno;
    const std::lock_guard lock(mutex);
    moved = Clock::now();
    if (count < 0) {
      if (error == EPIPE && !std::exchange(gone, true)) ::kill(::getpid(), SIGTERM);
      return false;
    }
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

LineWriter::LineWriter(int descriptor) : shared_(new Shared{.descriptor = descriptor}) {
  std::thread(write_lines, shared_).detach();
}

LineWriter::~LineWriter() {
  const std::lock_guard lock(shared_->mutex);
  shared_->closed = true;
  shared_->changed.notify_all();
}

void LineWriter::write_lines(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  for (;;) {
    shared->changed.wait(lock, [&shared] { return shared->closed || !shared->waiting.empty(); });
    if (shared->closed) return;
    const std::string& line = shared->waiting.front();  // only this thread removes lines, so the reference stays valid
    lock.unlock();
    const bool written = shared->write(line);
    lock.lock();
    if (!written && !shared->gone) ++shared->lost;
    shared->waiting_bytes -= line.size();
    shared->waiting.pop_front();
  }
}

void LineWriter::add(std::string line) {
  line += '\n';
  const std::lock_guard lock(shared_->mutex);
  if (shared_->waiting_bytes + line.size() > kMostWaiting) {
    ++shared_->lost;
    return;
  }
  if (shared_->waiting.empty()) shared_->moved = Clock::now();
  shared_->waiting_bytes += line.size();
  shared_->waiting.push_back(std::move(line));
  shared_->changed.notify_all();
}

bool LineWriter::is_empty() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->waiting.empty();
}

Clock::duration LineWriter::stuck_for() const {
  const std::lock_guard lock(shared_->mutex);
  return Clock::now() - shared_->moved;
}

int64_t LineWriter::lost() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->gone ? 0 : shared_->lost + static_cast<int64_t>(shared_->waiting.size());
}

}  // namespace grpo::app
