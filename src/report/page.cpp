#include "report/page.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "report/arms.h"
#include "report/config_file.h"
#include "report/samples.h"
#include "report/table.h"
#include "report/text.h"
#include "report/verdict.h"

namespace grpo::report {

std::string_view asset(std::string_view name);  // a file of src/report/assets, compiled in (cmake/GrpoEmbed.cmake)

namespace {

constexpr size_t kMaxPoints = 600;  // points of a curve; a chart has no more pixels to show

// Lets a head such as my_set/mean@4 break after "_" and "/", so that it is no wider than its column needs.
std::string head_html(const std::string& text) {
  std::string html = escape_html(text);
  for (size_t at = html.find_first_of("_/"); at != std::string::npos; at = html.find_first_of("_/", at + 6))
    html.insert(at + 1, "<wbr>");
  return html;
}

// In a cell such as "5120 (−88 %)" the change goes below the value, so that all columns fit on a screen.
std::string cell_html(const std::string& text) {
  const size_t at = text.rfind(" (");
  if (at == std::string::npos || text.back() != ')') return escape_html(text);
  return escape_html(text.substr(0, at)) + "<span class=\"change\">" + escape_html(text.substr(at)) + "</span>";
}

std::string html_table(const Table& table) {
  std::string html = "<div class=\"scroll\"><table>\n";
  for (size_t r = 0; r < table.rows.size(); ++r) {
    html += table.is_seed[r] ? "<tr class=\"seed\">" : "<tr>";
    for (size_t i = 0; i < table.rows[r].size(); ++i) {
      const std::string& text = table.rows[r][i];
      html += r == 0 || i == 0 ? "<th>" + (r == 0 ? head_html(text) : escape_html(text)) + "</th>"
                               : "<td>" + cell_html(text) + "</td>";
    }
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

std::string verdict_html(const std::vector<Arm>& arms) {
  const auto verdicts = verdicts_of(arms);
  if (verdicts.empty()) return "<p class=\"verdict\">" + escape_html(no_verdict(arms)) + "</p>\n";
  constexpr size_t kAtOnce = 6;  // more would push the table off the screen
  std::string html;
  for (size_t i = 0; i < verdicts.size(); ++i) {
    if (i == kAtOnce) html += "<details><summary>" + std::to_string(verdicts.size() - i) + " more</summary>\n";
    html += "<p class=\"verdict\">" + escape_html(verdicts[i].text) + "</p>\n";
  }
  return verdicts.size() > kAtOnce ? html + "</details>\n" : html;
}

std::string config_html(const std::vector<RunSummary>& runs) {
  const Table table = config_table(runs);
  if (table.rows.size() == 1 && runs.size() == 1) return "";
  return "<section id=\"config\"><h2>Configuration differences</h2>\n" +
         (table.rows.size() > 1 ? html_table(table) : "<p>The configurations are the same.</p>\n") + "</section>\n";
}

// Five digits are enough for a chart. JSON has no NaN, so it becomes null.
nlohmann::json short_number(double value) {
  if (!std::isfinite(value)) return nullptr;
  return nlohmann::json::parse(number(value, "%.5g"));
}

nlohmann::json short_numbers(const std::vector<double>& values) {
  auto out = nlohmann::json::array();
  for (const double value : values) out.push_back(short_number(value));
  return out;
}

nlohmann::json arm_json(const Arm& arm, const std::vector<std::string>& metrics) {
  const auto curves = curves_of(arm, metrics, kMaxPoints);
  nlohmann::json out = {{"name", arm.name}, {"seeds", arm.runs.size()}, {"series", nlohmann::json::object()}};
  nlohmann::json x;
  for (const char* axis : {"rollouts", "steps", "wall", "train"}) x[axis] = nlohmann::json::array();
  for (const auto& position : curves.positions) {
    x["rollouts"].push_back(position.rollouts);
    x["steps"].push_back(position.step);
    x["wall"].push_back(short_number(position.wall_s));
    x["train"].push_back(short_number(position.train_s));
  }
  out["x"] = x;
  for (const auto& [metric, series] : curves.series) {
    if (std::none_of(series.mean.begin(), series.mean.end(), [](double value) { return std::isfinite(value); }))
      continue;
    out["series"][metric] = {{"mean", short_numbers(series.mean)}};
    if (!series.half_width.empty()) out["series"][metric]["half"] = short_numbers(series.half_width);
  }
  return out;
}

nlohmann::json page_data(const std::vector<RunSummary>& runs, const std::vector<Arm>& arms) {
  const auto metrics = charted_metrics(runs);
  nlohmann::json data = {
      {"metrics", metrics}, {"arms", nlohmann::json::array()}, {"rollouts", nlohmann::json::array()}};
  for (const auto& arm : arms) data["arms"].push_back(arm_json(arm, metrics));
  SampleLimits limits;
  if (runs.size() > 4) limits.groups = 3;  // keeps a page of twenty runs at a few MB
  for (size_t i = 0; i < arms.size(); ++i) {
    for (const auto* run : arms[i].runs) {
      auto steps = rollout_samples(*run, limits);
      if (!steps.empty()) data["rollouts"].push_back({{"run", run->name}, {"arm", i}, {"steps", steps}});
    }
  }
  return data;
}

// Escapes "<", since a "</script>" inside a text would end the script element.
std::string script_json(const nlohmann::json& data) {
  const std::string text = data.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::string out;
  for (const char c : text) out += c == '<' ? std::string("\\u003c") : std::string(1, c);
  return out;
}

std::string embedded(std::string_view name) { return std::string(asset(name)); }

}  // namespace

std::vector<std::string> charted_metrics(const std::vector<RunSummary>& runs) {
  const auto arms = arms_of(runs);
  std::vector<std::string> metrics = accuracy_metrics(arms);
  for (const auto& metric : accuracy_metrics(arms)) metrics.push_back(pass_metric(metric));
  for (const char* name : {"reward/mean", "accuracy", "length/mean", "entropy", "groups/dead_share", "grad_norm",
                           "loss", "kl/sampler", "truncated", "speed/rollout_tokens_per_s"}) {
    metrics.emplace_back(name);
  }
  std::erase_if(metrics, [&](const auto& name) {
    return std::none_of(runs.begin(), runs.end(), [&](const auto& run) { return run.curves.contains(name); });
  });
  return metrics;
}

std::string comparison_page(const std::vector<RunSummary>& runs) {
  const auto arms = arms_of(runs);
  const Table table = headline_table(arms, false);
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>grpo-train: comparison of "
         "runs</title>\n<style>" +
         embedded("uPlot.min.css") + "\n" + embedded("report.css") +
         "</style></head>\n<body>\n<main>\n<h1>Comparison of runs</h1>\n" + verdict_html(arms) +
         "<section><h2>Summary</h2>\n<p class=\"note\">Ranked by training time, which the time split shares out: "
         "sampling / rewards / updates. "
         "Changes in parentheses are against " +
         escape_html(arms.front().name) + ".</p>\n" + html_table(table) +
         "</section>\n<section id=\"curves\"><h2>Curves</h2></section>\n"
         "<section id=\"rollouts\"><h2>Sampled rollouts</h2></section>\n" +
         config_html(runs) + "</main>\n<script type=\"application/json\" id=\"data\">" +
         script_json(page_data(runs, arms)) + "</script>\n<!--\n" + embedded("uPlot.LICENSE") + "-->\n<script>" +
         embedded("uPlot.iife.min.js") + "</script>\n<script>" + embedded("latex.js") + "</script>\n<script>" +
         embedded("report.js") + "</script>\n</body></html>\n";
}

}  // namespace grpo::report
