#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace grpo::dist {

/// What a rank writes into the store about itself once a second.
struct Status {
  enum class State { kRunning, kWaiting, kEnded };  // kWaiting: for collective number `awaited`
  uint64_t beat = 0;                                // counts how often the status was written
  State state = State::kRunning;
  int64_t collectives = 0;  // number of collectives that have started
  std::string collective;   // name of the last of these
  int64_t awaited = 0;      // number of the collective that was waited for last; later ones may have started
  std::string awaited_name;
  std::string phase;
  std::string host;
};

std::string to_text(const Status& status);
Status status_from(const std::string& text);

/// Why a run ends: the first failure that a rank reported.
struct Failure {
  int64_t rank = 0;
  int exit_code = 1;
  std::string message;
};

std::string to_text(const Failure& failure);
Failure failure_from(const std::string& text);

/// The message "rank 3 on host b failed in step 7, rollout: disk full".
std::string failed_message(int64_t rank, const Status& status, const std::string& what);

/// The message "rank 3 on host b stopped answering in step 7, rollout (killed, or out of memory?)".
std::string silent_message(int64_t rank, const Status& status);

/// The message about a collective that has waited too long: which ranks have not come to it, and where they are
/// instead. `all` is every rank's status, by rank.
std::string missing_message(int64_t rank, const std::vector<Status>& all, int64_t timeout_s);

}  // namespace grpo::dist
