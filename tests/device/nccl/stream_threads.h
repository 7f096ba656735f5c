#pragma once

#include <cuda_runtime_api.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

// As much of a CUDA runtime as NCCL calls: a stream is a thread that does what it is given. The program exports its
// functions.

namespace grpo::device_nccl {

class StreamThread {
 public:
  StreamThread() : thread_([this] { work(); }) {}
  ~StreamThread();
  StreamThread(const StreamThread&) = delete;
  StreamThread& operator=(const StreamThread&) = delete;

  cudaStream_t handle() { return reinterpret_cast<cudaStream_t>(this); }
  void add(std::function<void()> task);
  /// True when all is done within the time.
  bool idle_within(double seconds);

  void begin_capture() { capturing_ = true; }
  /// What was added since, once for each call of the result.
  std::function<void()> end_capture();
  bool capturing() const { return capturing_; }

 private:
  void work();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::function<void()>> captured_;
  bool capturing_ = false, ended_ = false, busy_ = false;
  std::thread thread_;
};

}  // namespace grpo::device_nccl
