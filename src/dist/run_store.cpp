#include "dist/run_store.h"

#include <exception>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <utility>

#include "dist/listen_at.h"
#include "dist/watch.h"
#include "grpo/base/error.h"
#include "grpo/base/text.h"

namespace grpo::dist {
namespace {

class StoreValues : public KeyValue {
 public:
  explicit StoreValues(StorePointer store) : store_(std::move(store)) {}
  void set(const std::string& key, const std::string& value) override { store_->set(key, value); }
  std::string replace(const std::string& key, const std::string& expected, const std::string& value) override {
    return store_->compareSet(key, expected, value);
  }
  int64_t add(const std::string& key, int64_t amount) override { return store_->add(key, amount); }
  void wait(const std::string& key, std::chrono::milliseconds timeout) override { store_->wait({key}, timeout); }
  void remove(const std::string& key) override { store_->deleteKey(key); }
  std::vector<std::string> get(const std::vector<std::string>& keys) override {
    std::vector<std::string> values;
    for (const auto& bytes : store_->multiGet(keys)) values.emplace_back(bytes.begin(), bytes.end());
    return values;
  }

 private:
  StorePointer store_;
};

}  // namespace

std::unique_ptr<KeyValue> values_of(StorePointer store) { return std::make_unique<StoreValues>(std::move(store)); }

StorePointer connect_store(const Ranks& ranks, bool as_server, std::chrono::seconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(ranks.port);
  options.isServer = as_server;
  options.waitWorkers = false;  // wait_for_all waits instead and says who is missing
  options.timeout = timeout;
  const std::string place = base::concat(ranks.host, ":", ranks.port, " (MASTER_ADDR, MASTER_PORT)");
  try {
    if (as_server) options.masterListenFd = listen_at(ranks.host, ranks.port, ranks.one_host);
    StorePointer store = c10::make_intrusive<c10d::TCPStore>(ranks.host, options);
    // torchrun's store lives on when torchrun starts the job again, so each start uses keys of its own.
    return c10::make_intrusive<c10d::PrefixStore>("grpo/" + ranks.attempt, store);
  } catch (const std::exception& error) {
    throw base::DistError(base::concat(
        "rank ", ranks.rank,
        as_server ? ": cannot open the store of the run at " : ": cannot reach the store of the run at ", place,
        " within ", timeout.count(), " s (distributed.timeout_s): ", base::first_line(error.what())));
  }
}

void wait_for_all(c10d::Store& store, const Ranks& ranks, std::chrono::seconds timeout) {
  std::vector<std::string> keys;
  for (int64_t r = 0; r < ranks.size; ++r) keys.push_back(Watch::status_key(r));
  try {
    store.wait(keys, timeout);
    return;
  } catch (const std::exception& error) {
    std::vector<std::string> missing;
    for (int64_t r = 0; r < ranks.size; ++r) {
      if (!store.check({Watch::status_key(r)})) missing.push_back(base::concat("rank ", r));
    }
    if (missing.empty())
      throw base::DistError(
          base::concat("rank ", ranks.rank, ": the store of the run failed: ", base::first_line(error.what())));
    throw base::DistError(base::concat("rank ", ranks.rank, " waited ", timeout.count(),
                                       " s (distributed.timeout_s) for ", base::join(missing, ", "), " of ", ranks.size,
                                       " to start"));
  }
}

}  // namespace grpo::dist
