#include "dist/status.h"

#include <algorithm>

#include "grpo/base/error.h"
#include "grpo/base/text.h"

namespace grpo::dist {
namespace {

constexpr char kSeparator = '\x1f';  // ASCII's unit separator; texts that contain it are cut there

std::vector<std::string> split(const std::string& text, size_t parts) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(kSeparator, begin), text.size());
    out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  GRPO_CHECK(out.size() >= parts, "another rank left ", text, " in the store: is it another version of this program?");
  return out;
}

// Says where a rank is that has not come to collective `number`.
std::string whereabouts(int64_t rank, const Status& status, int64_t number, const std::string& name) {
  std::string place = base::concat("rank ", rank, " on host ", status.host, " (in ", status.phase);
  if (status.state == Status::State::kEnded) {
    place = base::concat("rank ", rank, " on host ", status.host, " (ended");
  } else if (status.state == Status::State::kWaiting) {
    place += base::concat(", waiting in ", status.awaited_name, " number ", status.awaited);
  } else {
    place += base::concat(", ", status.collectives, " collectives done");
  }
  if (status.collectives == number && status.collective != name) place += ": the ranks do not make the same calls";
  return place + ")";
}

bool has_come(const Status& status, int64_t number, const std::string& name) {
  return status.collectives > number || (status.collectives == number && status.collective == name);
}

}  // namespace

std::string to_text(const Status& status) {
  return base::concat(status.beat, kSeparator, static_cast<int>(status.state), kSeparator, status.collectives,
                      kSeparator, status.collective, kSeparator, status.awaited, kSeparator, status.awaited_name,
                      kSeparator, status.phase, kSeparator, status.host);
}

Status status_from(const std::string& text) {
  const auto parts = split(text, 8);
  return {.beat = std::stoull(parts[0]),
          .state = static_cast<Status::State>(std::stoi(parts[1])),
          .collectives = std::stoll(parts[2]),
          .collective = parts[3],
          .awaited = std::stoll(parts[4]),
          .awaited_name = parts[5],
          .phase = parts[6],
          .host = parts[7]};
}

std::string to_text(const Failure& failure) {
  return base::concat(failure.rank, kSeparator, failure.exit_code, kSeparator, failure.message);
}

Failure failure_from(const std::string& text) {
  const auto parts = split(text, 3);
  return {.rank = std::stoll(parts[0]), .exit_code = std::stoi(parts[1]), .message = parts[2]};
}

std::string failed_message(int64_t rank, const Status& status, const std::string& what) {
  return base::concat("rank ", rank, " on host ", status.host, " failed in ", status.phase, ": ", what);
}

std::string silent_message(int64_t rank, const Status& status) {
  return base::concat("rank ", rank, " on host ", status.host, " stopped answering in ", status.phase,
                      " (killed, or out of memory?)");
}

std::string missing_message(int64_t rank, const std::vector<Status>& all, int64_t timeout_s) {
  const Status& own = all[static_cast<size_t>(rank)];
  std::vector<std::string> missing;
  for (size_t r = 0; r < all.size(); ++r) {
    if (has_come(all[r], own.awaited, own.awaited_name)) continue;
    missing.push_back(whereabouts(static_cast<int64_t>(r), all[r], own.awaited, own.awaited_name));
  }
  const std::string waited = base::concat("rank ", rank, ": ", own.awaited_name, " (collective number ", own.awaited,
                                          ", in ", own.phase, ") waited ", timeout_s, " s (distributed.timeout_s) ");
  if (missing.empty())
    return waited + "though every rank has come to it: is the network between the hosts broken or slow?";
  return waited + "for " + base::join(missing, ", ");
}

}  // namespace grpo::dist
