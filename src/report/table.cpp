#include "report/table.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "grpo/base/text.h"
#include "report/config_file.h"
#include "report/text.h"

namespace grpo::report {
namespace {

using Runs = std::vector<const RunSummary*>;

enum class Change { kNone, kRelative, kPoints };

struct Column {
  std::string title;
  std::function<double(const RunSummary&)> value;
  const char* format = "%.0f";
  Change change = Change::kNone;
  bool brief = false;
  std::function<std::string(const Runs&)> text = {};  // used instead of `value` when a cell is not a single number
};

Column share(std::string title, std::function<double(const RunSummary&)> value, Change change = Change::kNone,
             bool brief = false) {
  return {.title = std::move(title),
          .value = [value](const RunSummary& run) { return 100.0 * value(run); },
          .format = "%.1f",
          .change = change,
          .brief = brief};
}

// How time/train divides into sampling, rewards and updates, in percent: 39 / 0 / 61.
std::string phases(const Runs& runs) {
  std::string text;
  for (const char* name : {"time/rollout", "time/reward", "time/update"}) {
    const auto shares = values_of({.name = "", .runs = runs},
                                  [name](const RunSummary& run) { return 100.0 * run.sum(name) / run.train_s; });
    text += (text.empty() ? "" : " / ") + number(interval_of(shares).mean, "%.0f");
  }
  return text;
}

void add_accuracy(std::vector<Column>& columns, const std::string& metric) {
  const std::string name = without_eval(metric);
  const std::string pass = pass_metric(metric);
  columns.push_back(share(
      name + " % start", [metric](const auto& run) { return run.first(metric); }, Change::kNone, true));
  columns.push_back(share(
      name + " % final", [metric](const auto& run) { return run.last(metric); }, Change::kPoints, true));
  columns.push_back(share(
      name + " % best", [metric](const auto& run) { return run.best(metric); }, Change::kNone, true));
  columns.push_back(share(
      without_eval(pass) + " % final", [pass](const auto& run) { return run.last(pass); }, Change::kPoints));
}

std::vector<Column> columns_of(const std::vector<Arm>& arms) {
  std::vector<Column> columns = {{.title = "train s",
                                  .value = [](const auto& run) { return run.train_s; },
                                  .format = "%.1f",
                                  .change = Change::kRelative,
                                  .brief = true},
                                 {.title = "wall s",
                                  .value = [](const auto& run) { return run.wall_s; },
                                  .format = "%.1f",
                                  .change = Change::kRelative},
                                 {.title = "rollouts",
                                  .value = [](const auto& run) { return run.rollouts; },
                                  .change = Change::kRelative,
                                  .brief = true}};
  for (const auto& metric : accuracy_metrics(arms)) add_accuracy(columns, metric);
  columns.push_back(share(
      "train accuracy % final", [](const auto& run) { return run.late_mean("accuracy"); }, Change::kPoints));
  columns.push_back(share("train accuracy % best", [](const auto& run) { return run.best("accuracy"); }));
  columns.push_back(share(
      "live groups %", [](const auto& run) { return run.live_share; }, Change::kNone, true));
  columns.push_back(
      {.title = "updates", .value = [](const auto& run) { return run.updates; }, .change = Change::kRelative});
  columns.push_back({.title = "million tokens",
                     .value = [](const auto& run) { return run.completion_tokens / 1e6; },
                     .format = "%.3g",
                     .change = Change::kRelative});
  columns.push_back({.title = "time split %", .value = {}, .text = phases});
  columns.push_back(
      {.title = "peak GB", .value = [](const auto& run) { return run.peak_memory_bytes / 1e9; }, .format = "%.2f"});
  return columns;
}

Interval interval_of_runs(const Column& column, const Runs& runs) {
  return interval_of(values_of({.name = "", .runs = runs}, column.value));
}

std::string cell(const Column& column, const Runs& runs, const Runs& baseline) {
  if (column.text) return column.text(runs);
  const Interval interval = interval_of_runs(column, runs);
  std::string text = number(interval.mean, column.format);
  if (std::isfinite(interval.half_width) && column.change == Change::kPoints)
    text += " ± " + number(interval.half_width, column.format);
  if (&runs == &baseline) return text;
  const double other = interval_of_runs(column, baseline).mean;
  std::string change;
  if (column.change == Change::kRelative) change = relative_change(interval.mean, other);
  if (column.change == Change::kPoints && std::isfinite(interval.mean - other))
    change = signed_number(interval.mean - other, column.format);
  return change.empty() ? text : text + " (" + change + ")";
}

std::vector<std::string> row_of(const std::string& name, const std::vector<Column>& columns, const Runs& runs,
                                const Runs& baseline) {
  std::vector<std::string> row = {name};
  for (const auto& column : columns) row.push_back(cell(column, runs, baseline));
  return row;
}

std::vector<const Arm*> by_train_time(const std::vector<Arm>& arms) {
  std::vector<const Arm*> order;
  for (const auto& arm : arms) order.push_back(&arm);
  const auto mean_time = [](const Arm* arm) {
    return interval_of(values_of(*arm, [](const RunSummary& run) { return run.train_s; })).mean;
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](const auto* a, const auto* b) { return mean_time(a) < mean_time(b); });
  return order;
}

// The different values that an arm's runs have for one key, as in "1, 2, 3" for seeds. `values` has one entry
// per run, in the order of `runs`.
std::string joined_values(const Arm& arm, const std::vector<RunSummary>& runs, const std::vector<std::string>& values) {
  std::vector<std::string> different;
  for (const auto* run : arm.runs) {
    const std::string& value = values[static_cast<size_t>(run - runs.data())];
    if (std::find(different.begin(), different.end(), value) == different.end()) different.push_back(value);
  }
  return base::join(different, ", ");
}

// A name or a value of a configuration may hold what ends a cell or begins an HTML element in Markdown.
std::string in_markdown(const std::string& cell) {
  std::string text;
  for (const char c : cell) text += c == '|' ? "\\|" : c == '<' ? "&lt;" : std::string(1, c);
  return text;
}

}  // namespace

std::vector<std::string> accuracy_metrics(const std::vector<Arm>& arms) {
  std::set<std::string> names;
  for (const auto& arm : arms) {
    for (const auto* run : arm.runs) {
      for (const auto& name : run->mean_at_k()) names.insert(name);
    }
  }
  return {names.begin(), names.end()};
}

std::string pass_metric(const std::string& mean_metric) {
  return mean_metric.substr(0, mean_metric.rfind('/') + 1) + "pass@" + mean_metric.substr(mean_metric.rfind('@') + 1);
}

Table headline_table(const std::vector<Arm>& arms, bool brief) {
  auto columns = columns_of(arms);
  if (brief) std::erase_if(columns, [](const Column& column) { return !column.brief; });
  std::vector<std::string> head = {"run"};
  for (const auto& column : columns) head.push_back(column.title);
  Table table{.rows = {head}, .is_seed = {false}};
  const Runs& baseline = arms.front().runs;
  for (const auto* arm : by_train_time(arms)) {
    const bool several = arm->runs.size() > 1;
    const std::string name = several ? arm->name + " (" + std::to_string(arm->runs.size()) + " seeds)" : arm->name;
    table.rows.push_back(row_of(name, columns, arm->runs, baseline));
    table.is_seed.push_back(false);
    for (const auto* run : several ? arm->runs : Runs{}) {
      const Runs one = {run};
      table.rows.push_back(row_of(run->name, columns, one, one));  // only the arm's own row shows changes
      table.is_seed.push_back(true);
    }
  }
  return table;
}

Table config_table(const std::vector<RunSummary>& runs) {
  const auto arms = arms_of(runs);
  Table table{.rows = {{"key"}}, .is_seed = {false}};
  for (const auto& arm : arms) table.rows[0].push_back(arm.name);
  for (const auto& difference : config_differences(runs)) {
    std::vector<std::string> row = {difference.key};
    for (const auto& arm : arms) row.push_back(joined_values(arm, runs, difference.values));
    // The seeds differ within every arm, but arms that ran the same seeds have equal cells.
    if (arms.size() > 1 && std::equal(row.begin() + 2, row.end(), row.begin() + 1)) continue;
    table.rows.push_back(std::move(row));
    table.is_seed.push_back(false);
  }
  return table;
}

std::string plain_text(const Table& shown, bool markdown) {
  Table table = shown;
  for (auto& row : table.rows) {
    for (auto& cell : row) cell = markdown ? in_markdown(cell) : cell;
  }
  std::vector<size_t> widths(table.rows.front().size(), 0);
  for (const auto& row : table.rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string text;
  for (size_t r = 0; r < table.rows.size(); ++r) {
    std::string line = markdown ? "|" : "";
    for (size_t i = 0; i < widths.size(); ++i) {
      const std::string& cell = table.rows[r][i];
      line += (markdown ? " " : "") + cell + std::string(widths[i] - width_of(cell), ' ') + (markdown ? " |" : "  ");
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
    if (markdown && r == 0) {
      text += "|";
      for (const size_t width : widths) text += std::string(width + 2, '-') + "|";
      text += "\n";
    }
  }
  return text;
}

}  // namespace grpo::report
