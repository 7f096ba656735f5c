#include "reward/line_child.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace grpo::reward {
namespace {

constexpr size_t kLongestLine = 1 << 20;
// How long a child may take to end after we closed its stdin, or after it closed its stdout.
constexpr double kPartingSeconds = 1.0;

// The result of reading a pipe that never blocks: some bytes, nothing for now, or the end.
struct Chunk {
  std::string_view bytes;
  bool end = false;
};
Chunk read_chunk(const Handle& handle, std::array<char, 1 << 16>& buffer) {
  const ssize_t size = ::read(handle.get(), buffer.data(), buffer.size());
  if (size > 0) return {{buffer.data(), static_cast<size_t>(size)}};
  return {{}, size == 0 || (errno != EAGAIN && errno != EINTR)};
}

int milliseconds_until(LineChild::Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - LineChild::Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
}

}  // namespace

LineChild::LineChild(const std::vector<std::string>& argv, const std::string& name) : process_(argv), log_(name) {}

LineChild::~LineChild() {
  process_.in().close();
  process_.ends_within(kPartingSeconds);
  read_stderr();
}

LineChild::Next LineChild::next_line(Clock::time_point deadline) {
  while (true) {
    if (auto line = lines_.next()) return {Next::Kind::kLine, std::move(*line)};
    if (lines_.rest_size() > kLongestLine) return {Next::Kind::kTooLong};
    if (ended_) return {Next::Kind::kEnd};
    if (Clock::now() >= deadline) return {Next::Kind::kTimeout};
    transfer(deadline);
  }
}

// Waits until a pipe can be read or written or the deadline has passed, and then reads and writes what is possible.
void LineChild::transfer(Clock::time_point deadline) {
  const short writes = written_ < pending_.size() ? POLLOUT : 0;
  std::array<pollfd, 3> pipes = {{{process_.out().get(), POLLIN, 0},
                                  {process_.err().get(), POLLIN, 0},
                                  {writes != 0 ? process_.in().get() : -1, writes, 0}}};
  if (::poll(pipes.data(), pipes.size(), milliseconds_until(deadline)) <= 0) return;
  if (pipes[2].revents != 0) write_pending();
  if (pipes[1].revents != 0) read_stderr();
  if (pipes[0].revents != 0) ended_ = !read_lines();
}

void LineChild::write_pending() {
  const ssize_t size = ::write(process_.in().get(), pending_.data() + written_, pending_.size() - written_);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  written_ += size > 0 ? static_cast<size_t>(size) : 0;
  if (size >= 0 && written_ < pending_.size()) return;
  // All is written, or the child reads no more. In the latter case no reply comes, which next_line() reports.
  pending_.clear();
  written_ = 0;
}

bool LineChild::read_lines() {
  std::array<char, 1 << 16> buffer;
  const Chunk chunk = read_chunk(process_.out(), buffer);
  lines_.append(chunk.bytes);
  return !chunk.end;
}

void LineChild::read_stderr() {
  // Reads a few chunks and not until nothing is left, since a program may write faster than this reads.
  constexpr int kChunks = 4;
  std::array<char, 1 << 16> buffer;
  for (int i = 0; i < kChunks && process_.err().is_open(); ++i) {
    const Chunk chunk = read_chunk(process_.err(), buffer);
    log_.append(chunk.bytes);
    if (chunk.end) process_.err().close();
    if (chunk.bytes.empty()) return;
  }
}

std::string LineChild::kill() {
  if (ended_) process_.ends_within(kPartingSeconds);
  const std::string how = process_.kill();
  read_stderr();
  return how;
}

}  // namespace grpo::reward
