#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "grpo/base/fields.h"

namespace grpo::data {

/// One of the sets that a run trains on: which rows of which files, and how often an epoch shows them. Rows are first
/// chosen by `where`, then repeated ones are left out (data.duplicates), then `take` draws from the rest.
struct TrainSet {
  std::vector<std::string> path;
  double weight = 1.0;
  std::optional<int64_t> take;
  int64_t take_seed = 0;
  std::vector<std::string> where;

  TrainSet() = default;
  TrainSet(std::string file) : path{std::move(file)} {}  // NOLINT(google-explicit-constructor): a path alone is a set
  TrainSet(const char* file) : path{file} {}             // NOLINT(google-explicit-constructor)
  bool operator==(const TrainSet&) const = default;
  /// Whether all settings but the path are the defaults.
  bool is_plain() const;

  GRPO_FIELDS(f) {
    f("path", path,
      "problem files (.jsonl, .json, .csv, also with .gz, .zst or .xz, and .parquet), folders of them, or patterns "
      "such as data/train-*.parquet");
    f("weight", weight,
      "how often an epoch shows each row of the set: 2 is twice, 0.5 every second epoch; the set's share of the draws "
      "is its rows times its weight, over the sum of that over all sets",
      base::above(0));
    f("take", take, "so many rows, drawn from those that where lets through; null: all", base::at_least(1));
    f("take_seed", take_seed, "which rows take draws; whatever run.seed is, so that runs can share a subset",
      base::at_least(0));
    f("where", where,
      "conditions that a row must all meet, as [level >= 3, source = aime | amc, lang != de]; dots enter nested "
      "objects");
    f.read_list_as("path");  // lets users write [a.jsonl] for [{path: a.jsonl}]
  }
};

}  // namespace grpo::data
