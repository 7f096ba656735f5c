// Reads data.train: which rows of which files, in which order.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_set>

#include "data/condition.h"
#include "data/problem_row.h"
#include "grpo/base/error.h"
#include "grpo/base/random.h"
#include "grpo/base/text.h"
#include "grpo/data/dataset.h"
#include "grpo/data/duplicates.h"

namespace grpo::data {
namespace {

using nlohmann::json;

// Reads the rows of one set that meet `where`, as problems.
class SetReader {
 public:
  SetReader(const DataConfig& config, const TrainSet& set, RowKind kind, SetCounts& counts)
      : config_(config),
        keys_{config.prompt_key, config.answer_key, config.extra_keys, kind == RowKind::kWholeRow},
        counts_(counts) {
    if (kind == RowKind::kPreference) {
      keys_.chosen = config.chosen_key;
      keys_.rejected = config.rejected_key;
    }
    for (const auto& text : set.where) conditions_.push_back(parse_condition(text));
    seen_.resize(conditions_.size());
  }

  // first_row: the number of the file's first row among all rows of the run.
  void read(const std::string& file, int64_t first_row) {
    const auto take = [&](const FileRow& row) {
      if (!is_wanted(row.value, row.source)) return;
      problems_.push_back(read_problem(row, keys_));
      problems_.back().row += first_row;
    };
    counts_.rows += for_each_row(file, columns(), take, [&](const BadRow& error) { note(error); });
  }

  std::vector<Problem> finish() {
    for (size_t k = 0; k < conditions_.size(); ++k) {
      if (seen_[k]) continue;
      throw base::ConfigError(base::concat("data.train: where: ", conditions_[k].text, ": no row has the key ",
                                           conditions_[k].key,
                                           base::did_you_mean(conditions_[k].key, {known_.begin(), known_.end()})));
    }
    return std::move(problems_);
  }

 private:
  std::vector<std::string> columns() const {
    auto all = columns_of(keys_);
    if (all.empty()) return all;
    for (const auto& condition : conditions_) all.push_back(condition.key);
    return all;
  }

  bool is_wanted(const json& row, const RowSource& source) {
    bool wanted = true;
    for (size_t k = 0; k < conditions_.size(); ++k) {
      if (!seen_[k]) seen_[k] = find_value(row, conditions_[k].key) != nullptr;
      if (!seen_[k]) {
        for (const auto& key : keys_of(row)) known_.insert(key);
      }
      try {
        wanted = wanted && meets(row, conditions_[k]);
      } catch (const base::IoError& error) {
        throw BadRow(source.place() + ": " + error.what());
      }
    }
    if (!wanted) ++counts_.filtered;
    return wanted;
  }

  void note(const BadRow& error) {
    if (config_.on_bad_row == OnBadRow::kError) throw;
    counts_.bad.emplace_back(error.what());
  }

  const DataConfig& config_;
  ProblemKeys keys_;
  SetCounts& counts_;
  std::vector<Condition> conditions_;
  std::vector<bool> seen_;       // for each condition whether any row had its key
  std::set<std::string> known_;  // keys of the rows that lacked such a key
  std::vector<Problem> problems_;
};

void drop_duplicates(std::vector<Problem>& problems, const std::unordered_set<std::string>& earlier, bool drop,
                     SetCounts& counts) {
  std::unordered_set<std::string> own;
  std::erase_if(problems, [&](const Problem& problem) {
    std::string text = compared_text(problem);
    const bool again = earlier.contains(text) || !own.insert(std::move(text)).second;
    if (again) ++counts.duplicates;
    return again && drop;
  });
}

// Takes the first set.take problems of a keyed permutation, in file order. With the same take_seed the smaller of two
// subsets is thus part of the larger one.
void take_some(std::vector<Problem>& problems, const TrainSet& set, SetCounts& counts) {
  if (!set.take) return;
  const auto count = static_cast<int64_t>(problems.size());
  if (*set.take > count) {
    throw base::ConfigError(
        base::concat("data.train: take ", *set.take, " of ", base::join(set.path, ", "), ": there are only ", count));
  }
  const base::RandomKey key{.seed = static_cast<uint64_t>(set.take_seed), .stream = base::stream_id("take")};
  auto chosen = base::permutation(key, 0, count);
  chosen.resize(static_cast<size_t>(*set.take));
  std::sort(chosen.begin(), chosen.end());
  std::vector<Problem> taken;
  for (const int64_t i : chosen) taken.push_back(std::move(problems[static_cast<size_t>(i)]));
  counts.not_taken = count - *set.take;
  problems = std::move(taken);
}

[[noreturn]] void fail_empty(const TrainSet& set, const SetCounts& counts) {
  throw base::IoError(base::concat("data.train: ", base::join(set.path, ", "), ": of ", counts.rows,
                                   " rows none is left: ", counts.filtered, " do not meet where, ", counts.duplicates,
                                   " are duplicates, ", counts.bad.size(), " cannot be read",
                                   counts.bad.empty() ? "" : ", the first one: " + counts.bad.front()));
}

}  // namespace

bool TrainSet::is_plain() const {
  TrainSet plain;
  plain.path = path;
  return *this == plain;
}

TrainProblems load_train_sets(const DataConfig& config, RowKind kind) {
  TrainProblems loaded;
  std::unordered_set<std::string> earlier;  // compared_text of the problems of earlier sets
  int64_t first_row = 0;
  for (const TrainSet& set : config.train) {
    SetCounts counts;
    SetReader reader(config, set, kind, counts);
    for (const auto& file : set.path) reader.read(file, first_row + counts.rows);
    auto problems = reader.finish();
    drop_duplicates(problems, earlier, config.duplicates == Duplicates::kDrop, counts);
    take_some(problems, set, counts);
    if (problems.empty()) fail_empty(set, counts);
    first_row += counts.rows;
    for (auto& problem : problems) {
      earlier.insert(compared_text(problem));
      problem.set = static_cast<int64_t>(loaded.counts.size());
      loaded.problems.push_back(std::move(problem));
    }
    loaded.counts.push_back(std::move(counts));
  }
  return loaded;
}

}  // namespace grpo::data
