#include "grpo/report/compare.h"

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/io/json.h"
#include "report/arms.h"
#include "report/config_file.h"
#include "report/page.h"
#include "report/picture.h"
#include "report/table.h"
#include "report/text.h"
#include "report/verdict.h"

namespace grpo::report {
namespace fs = std::filesystem;
namespace {

nlohmann::json run_json(const RunSummary& run) {
  nlohmann::json entry = {{"name", run.name},
                          {"steps", run.steps},
                          {"updates", run.updates},
                          {"rollouts", run.rollouts},
                          {"tokens/completion", run.completion_tokens},
                          {"time/train", run.train_s},
                          {"wall_s", run.wall_s},
                          {"live_share", run.live_share},
                          {"memory/peak_bytes", run.peak_memory_bytes}};
  for (const char* name : {"time/rollout", "time/reward", "time/update"}) entry[name] = run.sum(name);
  for (const auto& metric : run.mean_at_k()) {
    entry["eval"][without_eval(metric)] = {
        {"first", run.first(metric)}, {"last", run.last(metric)}, {"best", run.best(metric)}};
  }
  for (const auto& [name, curve] : run.curves) entry["curves"][name] = curve;
  return entry;
}

nlohmann::json verdict_json(const Verdict& verdict) {
  return {{"arm", verdict.arm},
          {"baseline", verdict.baseline},
          {"metric", verdict.metric},
          {"value", verdict.value},
          {"baseline_value", verdict.baseline_value},
          {"rollouts_share", verdict.rollouts_share},
          {"time_share", verdict.time_share},
          {"difference_points", verdict.difference},
          {"interval_half_points", verdict.half_width},
          {"method", verdict.method},
          {"text", verdict.text}};
}

std::string verdict_text(const std::vector<Arm>& arms, const std::string& before, const std::string& after) {
  const auto verdicts = verdicts_of(arms);
  if (verdicts.empty()) return before + no_verdict(arms) + after;
  std::string text;
  for (const auto& verdict : verdicts) text += before + verdict.text + after;
  return text;
}

std::string config_markdown(const std::vector<RunSummary>& runs) {
  const Table table = config_table(runs);
  return table.rows.size() > 1 ? "\n## Configuration differences\n\n" + plain_text(table, true) : "";
}

// The path of a file beside the page: report.html and .md give report.md.
fs::path beside(const fs::path& page, const char* extension) { return fs::path(page).replace_extension(extension); }

}  // namespace

std::string comparison_text(const std::vector<RunSummary>& runs) {
  const auto arms = arms_of(runs);
  return plain_text(headline_table(arms, true), false) + verdict_text(arms, "\n", "\n");
}

std::string comparison_markdown(const std::vector<RunSummary>& runs) {
  const auto arms = arms_of(runs);
  return "# Comparison of runs\n" + verdict_text(arms, "\n", "\n") + "\nChanges in parentheses are against " +
         arms.front().name + ". Time split: sampling / rewards / updates.\n\n" +
         plain_text(headline_table(arms, false), true) + config_markdown(runs);
}

nlohmann::json comparison_json(const std::vector<RunSummary>& runs) {
  const auto arms = arms_of(runs);
  nlohmann::json out = {
      {"runs", nlohmann::json::array()}, {"arms", nlohmann::json::array()}, {"verdicts", nlohmann::json::array()}};
  for (const auto& run : runs) out["runs"].push_back(run_json(run));
  for (const auto& arm : arms) {
    nlohmann::json names;
    for (const auto* run : arm.runs) names.push_back(run->name);
    out["arms"].push_back({{"name", arm.name}, {"runs", names}});
  }
  for (const auto& verdict : verdicts_of(arms)) out["verdicts"].push_back(verdict_json(verdict));
  for (const auto& difference : config_differences(runs)) out["config_differences"][difference.key] = difference.values;
  return out;
}

void write_report(const std::vector<RunSummary>& runs, const fs::path& page) {
  for (const char* extension : {".md", ".json", ".svg"}) {
    if (page.extension() == extension) {
      throw base::ConfigError("--output " + page.string() + ": names the page, as in report.html; " + extension +
                              " is written beside it");
    }
  }
  // What is written beside the page has its name: with run.html in a run's folder that would be its run.json.
  const bool is_file_of_run =
      page.filename() == "metrics.jsonl" || page.filename() == "config.yaml" || page.stem() == "run";
  if (is_file_of_run && fs::exists(page.parent_path() / "metrics.jsonl"))
    throw base::ConfigError("--output " + page.string() + ": would replace a file of a run; name it report.html");
  if (page.has_parent_path()) fs::create_directories(page.parent_path());
  io::write_file_atomic(page, comparison_page(runs));
  std::string markdown = comparison_markdown(runs);
  if (const auto metrics = accuracy_metrics(arms_of(runs)); !metrics.empty()) {
    const auto image = beside(page, ".svg");
    io::write_file_atomic(image, picture(runs, metrics.front()));
    markdown += "\n![" + without_eval(metrics.front()) + "](" + image.filename().string() + ")\n";
  }
  io::write_file_atomic(beside(page, ".md"), markdown);
  io::write_json(beside(page, ".json"), comparison_json(runs));
}

}  // namespace grpo::report
