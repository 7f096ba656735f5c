#include "device/runtime/streams.h"

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "device/runtime/captures.h"
#include "device/runtime/rules.h"
#include "device/runtime/settings.h"

namespace grpo::host_device {
namespace {

using namespace std::chrono_literals;

// The host may be so many pieces of work ahead.
constexpr size_t kMostQueued = 20'000;
// Work that nobody waits for begins after this time.
constexpr auto kPatience = 200ms;

struct Stream {
  std::deque<Item> queue;
  bool busy = false;   // its first item, taken from the queue, runs
  uint64_t given = 0;  // items so far
  uint64_t finished = 0;
};

struct Device {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Stream*> streams;
  Stream default_stream;
  size_t queued = 0;
  std::mt19937_64 random{settings().seed};
  Stream* current = nullptr;  // the one that ran last
  uint64_t finished = 0;
  bool watched = false;
  std::atomic<bool> ending = false;
  std::mutex computing;  // kernels run one at a time
};

// Kept for ever: LibTorch calls the runtime while the process ends.
Device& device() {
  static auto* const kept = [] {
    auto* made = new Device;
    made->streams.push_back(&made->default_stream);
    std::atexit([] { device().ending = true; });
    return made;
  }();
  return *kept;
}

Stream& stream_of(cudaStream_t handle) {
  if (handle == nullptr || handle == cudaStreamLegacy || handle == cudaStreamPerThread) return device().default_stream;
  return *reinterpret_cast<Stream*>(handle);
}

bool can_run(const Stream& stream) {
  if (stream.busy || stream.queue.empty()) return false;
  const Item& first = stream.queue.front();
  return first.what != Item::What::kWait || first.mark->done;
}

// Bursts of one stream: the others fall far behind.
Stream* choose() {
  auto& d = device();
  if (d.current != nullptr && can_run(*d.current) && d.random() % 16 != 0) return d.current;
  std::vector<Stream*> able;
  std::copy_if(d.streams.begin(), d.streams.end(), std::back_inserter(able),
               [](const Stream* s) { return can_run(*s); });
  return d.current = able.empty() ? nullptr : able[d.random() % able.size()];
}

void finish_item(Stream& stream, const Item& item) {
  if (item.mark && item.what == Item::What::kRecord) {
    item.mark->time = std::chrono::steady_clock::now();
    item.mark->done = true;
  }
  stream.busy = false;
  ++stream.finished;
  ++device().finished;
  device().changed.notify_all();
}

void compute(const Item& item) {
  if (!item.run || device_error() != cudaSuccess) return;
  const std::lock_guard lock(device().computing);
  try {
    item.run();
  } catch (const std::exception& error) {
    fail_device(item.name + ": " + error.what());
  }
}

void run_all_that_can();

// A host function may wait for another process, and other streams go on meanwhile.
void run_aside(Stream& stream, Item item) {
  std::thread([&stream, item = std::move(item)] {
    item.run();
    {
      const std::lock_guard lock(device().mutex);
      finish_item(stream, item);
    }
    if (settings().seed == 0) run_all_that_can();
  }).detach();
}

// One item of some stream. False: none can run.
bool run_one(std::unique_lock<std::mutex>& lock) {
  Stream* const stream = choose();
  if (stream == nullptr) return false;
  Item item = std::move(stream->queue.front());
  stream->queue.pop_front();
  --device().queued;
  stream->busy = true;
  if (item.what == Item::What::kHostFunction) {
    run_aside(*stream, std::move(item));
    return true;
  }
  lock.unlock();
  compute(item);
  lock.lock();
  finish_item(*stream, item);
  return true;
}

template <typename Done>
void run_until(const Done& done) {
  std::unique_lock lock(device().mutex);
  while (!done()) {
    if (!run_one(lock)) device().changed.wait_for(lock, 20ms);
  }
}

void run_all_that_can() {
  std::unique_lock lock(device().mutex);
  while (run_one(lock)) {
  }
}

// A real device works also when nobody waits for it.
void watch() {
  auto& d = device();
  uint64_t seen = 0;
  while (!d.ending) {
    std::this_thread::sleep_for(kPatience);
    std::unique_lock lock(d.mutex);
    const bool idle = d.finished == seen;
    seen = d.finished;
    for (bool ran = idle && !d.ending; ran;) ran = run_one(lock) && !d.ending;
  }
}

void after_enqueue() {
  if (settings().seed == 0) return run_all_that_can();
  auto& d = device();
  std::unique_lock lock(d.mutex);
  if (!d.watched) std::thread(watch).detach();
  d.watched = true;
  while (d.queued > kMostQueued && run_one(lock)) {
  }
}

void push(Stream& stream, Item item) {
  const std::lock_guard lock(device().mutex);
  stream.queue.push_back(std::move(item));
  ++stream.given;
  ++device().queued;
}

// What asks often lets time pass: each question is followed by some work.
void let_time_pass() {
  std::unique_lock lock(device().mutex);
  for (auto left = device().random() % 8; left > 0 && run_one(lock); --left) {
  }
}

}  // namespace

Counters& counters() {
  static auto* const kept = new Counters;
  return *kept;
}

void enqueue(cudaStream_t handle, Item item) {
  if (Capture* const capture = capture_of(handle)) return capture->add(handle, std::move(item));
  if (item.kernel) ++counters().kernels;
  push(stream_of(handle), std::move(item));
  after_enqueue();
}

cudaStream_t create_stream() {
  auto* const stream = new Stream;
  const std::lock_guard lock(device().mutex);
  device().streams.push_back(stream);
  return reinterpret_cast<cudaStream_t>(stream);
}

// Its work is done all the same, so it is only hidden when it is empty.
void destroy_stream(cudaStream_t handle) { finish(handle); }

MarkPointer record(cudaStream_t stream) {
  auto mark = std::make_shared<Mark>();
  if (Capture* const capture = capture_of(stream)) {
    mark->capture = capture->id;
    capture->add(stream, {.what = Item::What::kRecord, .name = "event", .mark = mark});
    return mark;
  }
  enqueue(stream, {.what = Item::What::kRecord, .name = "event", .mark = mark});
  return mark;
}

cudaError_t wait_in_stream(cudaStream_t stream, const MarkPointer& mark) {
  ++counters().stream_waits;
  if (mark == nullptr || !waits_in_streams()) return cudaSuccess;
  if (mark->capture != 0) return join_capture(stream, mark);
  if (capture_of(stream) != nullptr) {
    invalidate_capture();
    return fail(cudaErrorStreamCaptureIsolation,
                "cudaStreamWaitEvent: a recorded stream waits for an event from outside the recording");
  }
  if (!mark->done) enqueue(stream, {.what = Item::What::kWait, .name = "wait", .mark = mark});
  return cudaSuccess;
}

void finish(cudaStream_t handle) {
  Stream& stream = stream_of(handle);
  uint64_t given = 0;
  {
    const std::lock_guard lock(device().mutex);
    given = stream.given;
  }
  run_until([&] { return stream.finished >= given; });
}

void finish_all() {
  run_until([] {
    return std::all_of(device().streams.begin(), device().streams.end(),
                       [](const Stream* s) { return s->given == s->finished; });
  });
}

void reseed() {
  const std::lock_guard lock(device().mutex);
  device().random.seed(settings().seed);
  device().current = nullptr;
}

void finish(const MarkPointer& mark) {
  if (mark != nullptr) run_until([&] { return mark->done.load(); });
}

bool is_done(cudaStream_t handle) {
  let_time_pass();
  const Stream& stream = stream_of(handle);
  const std::lock_guard lock(device().mutex);
  return stream.given == stream.finished;
}

bool is_done(const MarkPointer& mark) {
  if (mark == nullptr || mark->done) return true;
  let_time_pass();
  return mark->done;
}

void poison_later(cudaStream_t stream, void* data, size_t bytes) {
  Item item{.what = Item::What::kPoison, .name = "poison", .run = [=] { fill_device(data, bytes); }};
  if (Capture* const capture = capture_of(stream)) return capture->add(stream, std::move(item));
  if (!settings().arithmetic) return;
  push(stream_of(stream), std::move(item));
  if (settings().seed == 0) run_all_that_can();
}

// Each replay has marks of its own. The first branch runs on the stream, the others beside it.
void replay(const Graph& graph, cudaStream_t stream) {
  ++counters().graphs;
  std::map<const Mark*, MarkPointer> marks;
  for (Item item : graph.items) {
    if (item.kernel) ++counters().kernels;
    if (item.mark) {
      auto& own = marks[item.mark.get()];
      if (!own) own = std::make_shared<Mark>();
      item.mark = own;
    }
    const cudaStream_t on = item.branch == 0 ? stream : graph.branches[item.branch - 1];
    push(stream_of(on), std::move(item));
  }
  after_enqueue();
}

}  // namespace grpo::host_device
