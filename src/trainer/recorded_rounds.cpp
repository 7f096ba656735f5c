#include "grpo/trainer/recorded_rounds.h"

#include <filesystem>
#include <map>
#include <utility>

#include "grpo/base/error.h"
#include "grpo/trainer/eval_metrics.h"
#include "trainer/recorded_step.h"
#include "trainer/run_folder.h"

namespace grpo::trainer {
namespace {

// How many completions were right at each visit of a prompt, in the order of steps.
struct Visits {
  std::map<std::string, std::vector<int64_t>> right;  // by prompt id
  int64_t group_size = 0;
};

void add_step(const std::string& run, const RolloutBatch& batch, Visits& visits) {
  for (size_t q = 0; q < batch.prompts.size(); ++q) {
    const auto [first, last] = batch.range_of(q);
    const auto size = static_cast<int64_t>(last - first);
    if (visits.group_size == 0) visits.group_size = size;
    if (size != visits.group_size)
      throw base::ConfigError(base::concat(run, ": groups of ", visits.group_size, " and of ", size, " completions"));
    int64_t right = 0;
    for (size_t i = first; i < last; ++i)
      right += batch.rollouts[i].score.verdict.kind == verifier::Verdict::Kind::kRight ? 1 : 0;
    visits.right[batch.prompts[q].id].push_back(right);
  }
}

Visits visits_of(const std::string& run) {
  Visits visits;
  for (const auto& [step, counts] : step_counts(run)) {
    const auto path = rollouts_path(run, step);
    const auto batch = std::filesystem::exists(path) ? read_rollouts(path) : RolloutBatch{};
    if (static_cast<int64_t>(batch.rollouts.size()) != counts.rollouts) {
      throw base::ConfigError(base::concat(run, ": of the ", counts.rollouts, " rollouts of step ", step, " ",
                                           batch.rollouts.size(), " are recorded (logging.rollouts_per_step)"));
    }
    add_step(run, batch, visits);
  }
  return visits;
}

}  // namespace

RecordedRounds recorded_rounds(const std::string& in_rounds, const std::string& at_once, int64_t rounds) {
  const Visits small = visits_of(in_rounds), large = visits_of(at_once);
  RecordedRounds result{.group_size = small.group_size,
                        .in_rounds = std::vector<double>(static_cast<size_t>(rounds), 0.0),
                        .at_once = {}};
  for (int64_t m = 1; m <= rounds && m * small.group_size <= large.group_size; ++m) result.at_once.push_back(0.0);
  for (const auto& [id, right] : small.right) {
    const auto other = large.right.find(id);
    if (static_cast<int64_t>(right.size()) < rounds || other == large.right.end()) continue;
    ++result.prompts;
    bool found = false;
    for (size_t m = 0; m < result.in_rounds.size(); ++m) {
      found = found || right[m] > 0;
      result.in_rounds[m] += found ? 1.0 : 0.0;
    }
    for (size_t m = 0; m < result.at_once.size(); ++m) {
      result.at_once[m] +=
          pass_at_k(large.group_size, other->second.front(), static_cast<int64_t>(m + 1) * small.group_size);
    }
  }
  if (result.prompts == 0)
    throw base::ConfigError(
        base::concat("no prompt was asked ", rounds, " times by ", in_rounds, " and once by ", at_once));
  for (auto* shares : {&result.in_rounds, &result.at_once}) {
    for (double& share : *shares) share /= static_cast<double>(result.prompts);
  }
  return result;
}

}  // namespace grpo::trainer
