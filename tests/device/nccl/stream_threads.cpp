#include "device/nccl/stream_threads.h"

#include <chrono>
#include <cstdlib>
#include <utility>

namespace grpo::device_nccl {

StreamThread::~StreamThread() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void StreamThread::add(std::function<void()> task) {
  if (capturing_) return captured_.push_back(std::move(task));
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  changed_.notify_all();
}

bool StreamThread::idle_within(double seconds) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return tasks_.empty() && !busy_; });
}

std::function<void()> StreamThread::end_capture() {
  capturing_ = false;
  return [this, tasks = std::exchange(captured_, {})] {
    for (const auto& task : tasks) add(task);
  };
}

void StreamThread::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ended_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    const auto task = std::move(tasks_.front());
    tasks_.pop_front();
    busy_ = true;
    lock.unlock();
    task();
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

namespace {

// A mark on a stream. Waiters wait for the last one that was recorded when they began.
struct Event {
  std::mutex mutex;
  std::condition_variable changed;
  int64_t recorded = 0, reached = 0;

  void wait(int64_t number) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return reached >= number; });
  }
};

StreamThread& thread_of(cudaStream_t stream) { return *reinterpret_cast<StreamThread*>(stream); }

Event& event_of(cudaEvent_t event) { return *reinterpret_cast<Event*>(event); }

}  // namespace
}  // namespace grpo::device_nccl

using grpo::device_nccl::Event;
using grpo::device_nccl::event_of;
using grpo::device_nccl::thread_of;

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  thread_of(stream).add([function, data] { function(data); });
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  *status = thread_of(stream).capturing() ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = reinterpret_cast<cudaEvent_t>(new Event);
  return cudaSuccess;
}

// Streams may still reach it.
cudaError_t cudaEventDestroy(cudaEvent_t) { return cudaSuccess; }

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  Event& mark = event_of(event);
  const std::lock_guard lock(mark.mutex);
  thread_of(stream).add([&mark, number = ++mark.recorded] {
    const std::lock_guard inner(mark.mutex);
    mark.reached = std::max(mark.reached, number);
    mark.changed.notify_all();
  });
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  Event& mark = event_of(event);
  const std::lock_guard lock(mark.mutex);
  thread_of(stream).add([&mark, number = mark.recorded] { mark.wait(number); });
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  Event& mark = event_of(event);
  std::unique_lock lock(mark.mutex);
  const int64_t number = mark.recorded;
  lock.unlock();
  mark.wait(number);
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  *memory = std::malloc(bytes);
  return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  std::free(memory);
  return cudaSuccess;
}
