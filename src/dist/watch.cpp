#include "dist/watch.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "grpo/base/error.h"
#include "grpo/dist/launch.h"

namespace grpo::dist {
namespace {

constexpr const char* kFailureKey = "failure";
constexpr const char* kNoFailure = "none";

// If the talking thread itself did not run for this many beats (the machine was suspended or the process stopped), it
// cannot tell which ranks were silent meanwhile.
constexpr int kLostBeats = 3;

std::atomic<int64_t> noted_death = -1;  // the rank, or -1

}  // namespace

void note_death(int64_t rank) { noted_death = rank; }

Watch::Watch(WatchOptions options, std::unique_ptr<KeyValue> for_thread, std::unique_ptr<KeyValue> for_callers,
             std::function<void(const std::string&, int)> end_process)
    : options_(std::move(options)),
      store_(std::move(for_thread)),
      callers_store_(std::move(for_callers)),
      end_process_(std::move(end_process)),
      seen_(static_cast<size_t>(options_.size)) {
  own_ = {.phase = "start", .host = options_.host};
}

Watch::~Watch() { stop(); }

void Watch::prepare(KeyValue& store) { store.set(kFailureKey, kNoFailure); }

void Watch::announce(KeyValue& store, int64_t rank, const std::string& host) {
  store.set(status_key(rank), to_text(Status{.phase = "start", .host = host}));
}

std::string Watch::status_key(int64_t rank) { return "status/" + std::to_string(rank); }

void Watch::start() {
  rank0_ = status_from(callers_store_->get({status_key(0)}).front());
  contact_ = looked_ = Clock::now();
  for (Seen& seen : seen_) seen.when = looked_;
  talk_ = std::thread([this] { talk(); });
  mind_ = std::thread([this] { mind(); });
}

void Watch::enter_phase(const std::string& phase) {
  {
    const std::lock_guard lock(mutex_);
    own_.phase = phase;
  }
  // The other ranks may have read this rank's status up to two beats ago, so a drill waits
  // until they know the new phase.
  if (options_.drill && applies(*options_.drill, options_.rank, phase)) act(*options_.drill, options_.beat * 5 / 2);
}

int64_t Watch::start_collective(const std::string& name) {
  const std::lock_guard lock(mutex_);
  own_.collective = name;
  return ++own_.collectives;
}

void Watch::await_collective(int64_t number, const std::string& name) {
  const std::lock_guard lock(mutex_);
  own_.state = Status::State::kWaiting;
  own_.awaited = number;
  own_.awaited_name = name;
}

void Watch::leave_collective() {
  const std::lock_guard lock(mutex_);
  own_.state = Status::State::kRunning;
}

int64_t Watch::add(const std::string& name, int64_t amount) { return callers_store_->add("shared/" + name, amount); }

// The last rank to come sets "all", for which the others wait. It also removes the previous meeting's keys, since
// all ranks have left that meeting.
int64_t Watch::meet(int64_t value, std::chrono::milliseconds timeout, const std::function<void()>& meanwhile) {
  const auto key = [](int64_t meeting, const char* part) { return base::concat("meeting/", meeting, "/", part); };
  const int64_t number = ++meetings_;
  callers_store_->add(key(number, "sum"), value);
  if (callers_store_->add(key(number, "came"), 1) < options_.size) {
    wait_for(key(number, "all"), timeout, meanwhile);
  } else {
    callers_store_->set(key(number, "all"), std::to_string(callers_store_->add(key(number, "sum"), 0)));
    for (const char* part : {"sum", "came", "all"}) callers_store_->remove(key(number - 1, part));
  }
  return std::stoll(callers_store_->get({key(number, "all")}).front());
}

void Watch::wait_for(const std::string& key, std::chrono::milliseconds timeout,
                     const std::function<void()>& meanwhile) {
  const auto deadline = Clock::now() + timeout;
  while (true) {
    const auto began = Clock::now();
    const auto left =
        std::max(std::chrono::duration_cast<std::chrono::milliseconds>(deadline - began), std::chrono::milliseconds(1));
    const auto slice = meanwhile ? std::min(left, options_.beat) : left;
    try {
      return callers_store_->wait(key, slice);
    } catch (const std::exception&) {
      const bool broken = Clock::now() - began < slice * 9 / 10;  // it ended before its time, so it was not a timeout
      if (broken || slice == left) throw;
    }
    meanwhile();
  }
}

void Watch::report(const std::string& message, int exit_code) {
  Failure failure{.rank = options_.rank, .exit_code = exit_code};
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(reporting_, true)) return;
    failure.message = failed_message(options_.rank, own_, message);
  }
  try {
    callers_store_->replace(kFailureKey, kNoFailure, to_text(failure));
    if (options_.hosts_store) outlive(*callers_store_, options_.rank, options_.linger);
    stop();
    say_ended(*callers_store_);
  } catch (const std::exception&) {
    stop();  // without a store there is nobody to tell
  }
}

void Watch::leave(std::chrono::seconds timeout) {
  try {
    if (options_.hosts_store) {
      say_ended(*callers_store_);
      outlive(*callers_store_, options_.rank, timeout);
      stop();
    } else {
      stop();  // first, so that no last sign of life overwrites "ended"
      say_ended(*callers_store_);
    }
  } catch (const std::exception&) {
    stop();  // the other ranks had ended before
  }
}

std::vector<Status> Watch::ask() {
  std::this_thread::sleep_for(options_.beat * 3 / 2);  // statuses in the store may be a beat old
  auto all = read_all(*callers_store_);
  const std::lock_guard lock(mutex_);
  all[static_cast<size_t>(options_.rank)] = own_;
  return all;
}

void Watch::talk() {
  try {
    for (bool go_on = true; go_on;) {
      say_and_read();
      std::unique_lock lock(mutex_);
      go_on = !wake_.wait_for(lock, options_.beat, [this] { return stopping_; });
    }
  } catch (const std::exception&) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    end(store_lost(), nullptr);
  }
}

void Watch::say_and_read() {
  std::string said;
  {
    const std::lock_guard lock(mutex_);
    ++own_.beat;
    said = to_text(own_);
  }
  store_->set(status_key(options_.rank), said);
  std::vector<std::string> keys = {kFailureKey};
  const int64_t watched = options_.rank == 0 ? options_.size : 1;
  for (int64_t r = 0; r < watched; ++r) keys.push_back(status_key(r));
  const auto values = store_->get(keys);
  const auto now = Clock::now();
  {
    const std::lock_guard lock(mutex_);
    contact_ = now;
    rank0_ = status_from(values[1]);
  }
  if (values[0] != kNoFailure) obey(values[0]);
  look_at_noted_death();
  if (now - looked_ > kLostBeats * options_.beat) {
    for (Seen& seen : seen_) seen.when = now;
  }
  looked_ = now;
  for (int64_t r = 0; r < watched; ++r) {
    if (r != options_.rank) look_at(r, status_from(values[static_cast<size_t>(r) + 1]), now);
  }
}

void Watch::obey(const std::string& text) {
  Failure failure = failure_from(text);
  {
    const std::lock_guard lock(mutex_);
    if (reporting_) return;
  }
  if (failure.rank == options_.rank) failure.message = "the other ranks have given this one up: " + failure.message;
  end(failure, store_.get());
}

void Watch::look_at_noted_death() {
  const int64_t rank = noted_death;
  if (rank < 0 || rank >= options_.size || rank == options_.rank) return;
  const Failure dead{.rank = rank,
                     .message = silent_message(rank, status_from(store_->get({status_key(rank)}).front()))};
  obey(store_->replace(kFailureKey, kNoFailure, to_text(dead)));
}

void Watch::look_at(int64_t rank, const Status& status, Clock::time_point now) {
  Seen& seen = seen_[static_cast<size_t>(rank)];
  if (status.beat != seen.beat || status.state == Status::State::kEnded) {
    seen = {status.beat, now};
  } else if (now - seen.when >= options_.silence) {
    const Failure silent{.rank = rank, .message = silent_message(rank, status)};
    obey(store_->replace(kFailureKey, kNoFailure, to_text(silent)));
  }
}

void Watch::mind() {
  std::unique_lock lock(mutex_);
  for (auto last = Clock::now(); !silent_;) {
    wake_.wait_for(lock, options_.beat / 2);
    const auto now = Clock::now();
    if (now - last > kLostBeats * options_.beat) contact_ = now;
    last = now;
    if (silent_ || ending_ || now - contact_ < options_.silence) continue;
    lock.unlock();
    end(store_lost(), nullptr);
    lock.lock();
  }
}

// Stops the talking thread first. If the store keeps that thread waiting, the minding thread ends the process.
void Watch::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (talk_.joinable()) talk_.join();
  {
    const std::lock_guard lock(mutex_);
    silent_ = true;
  }
  wake_.notify_all();
  if (mind_.joinable()) mind_.join();
}

void Watch::end(const Failure& failure, KeyValue* store) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(ending_, true)) return;
  }
  try {
    if (store != nullptr) say_ended(*store);
    if (store != nullptr && options_.hosts_store) outlive(*store, failure.rank, options_.linger);
  } catch (const std::exception&) {  // the process ends in any case
  }
  end_process_(failure.message, failure.exit_code);
}

void Watch::say_ended(KeyValue& store) {
  std::string said;
  {
    const std::lock_guard lock(mutex_);
    own_.state = Status::State::kEnded;
    said = to_text(own_);
  }
  store.set(status_key(options_.rank), said);
  store.get({status_key(options_.rank)});  // the store's answer proves that the status has arrived
}

bool Watch::all_ended_but(KeyValue& store, int64_t exempt) {
  const auto all = read_all(store);
  for (int64_t r = 0; r < options_.size; ++r) {
    if (r != options_.rank && r != exempt && all[static_cast<size_t>(r)].state != Status::State::kEnded) return false;
  }
  return true;
}

// The store ends with this process, so this waits until the other ranks have read the reason and ended.
void Watch::outlive(KeyValue& store, int64_t exempt, std::chrono::milliseconds longest) {
  const auto deadline = Clock::now() + longest;
  while (Clock::now() < deadline && !all_ended_but(store, exempt)) {
    std::this_thread::sleep_for(options_.beat / 10);
  }
}

std::vector<Status> Watch::read_all(KeyValue& store) const {
  std::vector<std::string> keys;
  for (int64_t r = 0; r < options_.size; ++r) keys.push_back(status_key(r));
  std::vector<Status> all;
  for (const auto& text : store.get(keys)) all.push_back(status_from(text));
  return all;
}

Failure Watch::store_lost() {
  const std::lock_guard lock(mutex_);
  if (options_.other_store.empty()) return {.rank = 0, .message = silent_message(0, rank0_)};
  return {.rank = options_.rank, .message = options_.other_store + " stopped answering"};
}

}  // namespace grpo::dist
