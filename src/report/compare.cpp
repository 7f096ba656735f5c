#include "grpo/report/compare.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/io/json.h"

namespace grpo::report {
namespace {

using Row = std::vector<std::string>;

std::string number(double value, const char* format) {
  if (!std::isfinite(value)) return "-";
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

// "-76 %" against the baseline's value; empty for the baseline itself.
std::string change(double value, double baseline, bool is_baseline) {
  if (is_baseline || !std::isfinite(value) || baseline == 0.0) return "";
  return " (" + number(100.0 * (value / baseline - 1.0), "%+.0f") + " %)";
}

// Every evaluation set of any run, in name order.
std::vector<std::string> all_sets(const std::vector<RunSummary>& runs) {
  std::vector<std::string> names;
  for (const auto& run : runs) {
    for (const auto& name : run.mean_at_k()) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string short_name(const std::string& metric) { return metric.rfind("eval/", 0) == 0 ? metric.substr(5) : metric; }

std::vector<const RunSummary*> by_train_time(const std::vector<RunSummary>& runs) {
  std::vector<const RunSummary*> order;
  for (const auto& run : runs) order.push_back(&run);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->train_s < b->train_s; });
  return order;
}

std::vector<Row> table_rows(const std::vector<RunSummary>& runs) {
  const RunSummary& baseline = runs.front();
  const auto sets = all_sets(runs);
  Row head = {"run", "steps", "rollouts", "train s", "wall s", "live groups"};
  for (const auto& set : sets) head.push_back(short_name(set) + " start -> end (best)");
  std::vector<Row> rows = {head};
  for (const auto* run : by_train_time(runs)) {
    const bool first = run == &baseline;
    Row row = {run->name, std::to_string(run->steps),
               number(run->rollouts, "%.0f") + change(run->rollouts, baseline.rollouts, first),
               number(run->train_s, "%.1f") + change(run->train_s, baseline.train_s, first), number(run->wall_s, "%.0f"),
               number(100.0 * run->live_share, "%.0f %%")};
    for (const auto& set : sets) {
      row.push_back(number(100.0 * run->first(set), "%.1f") + " -> " + number(100.0 * run->last(set), "%.1f") + " % (" +
                    number(100.0 * run->best(set), "%.1f") + ")");
    }
    rows.push_back(row);
  }
  return rows;
}

std::string escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else out += c;
  }
  return out;
}

constexpr const char* kColours[] = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf"};

struct Bounds {
  double max_step = 1.0;
  double low = 0.0;
  double high = 1.0;
};

Bounds bounds_of(const std::vector<RunSummary>& runs, const std::string& metric) {
  Bounds bounds{.max_step = 1.0, .low = INFINITY, .high = -INFINITY};
  for (const auto& run : runs) {
    const auto found = run.curves.find(metric);
    if (found == run.curves.end()) continue;
    for (const auto& [step, value] : found->second) {
      bounds.max_step = std::max(bounds.max_step, static_cast<double>(step));
      bounds.low = std::min(bounds.low, value);
      bounds.high = std::max(bounds.high, value);
    }
  }
  if (bounds.high <= bounds.low) bounds.high = bounds.low + 1.0;
  return bounds;
}

// One curve a run as an SVG element, in colours that read on light and dark pages.
std::string chart(const std::vector<RunSummary>& runs, const std::string& metric) {
  constexpr double kWidth = 460.0;
  constexpr double kHeight = 180.0;
  constexpr double kLeft = 56.0;
  constexpr double kBottom = 22.0;
  const Bounds bounds = bounds_of(runs, metric);
  const auto x = [&](double step) { return kLeft + (kWidth - kLeft - 8.0) * step / bounds.max_step; };
  const auto y = [&](double value) {
    return 8.0 + (kHeight - kBottom - 8.0) * (1.0 - (value - bounds.low) / (bounds.high - bounds.low));
  };
  std::string svg = "<svg viewBox=\"0 0 460 180\" role=\"img\" font-family=\"sans-serif\" "
                    "font-size=\"11\" fill=\"#888\"><title>" + escape(metric) + "</title>";
  for (const double value : {bounds.low, 0.5 * (bounds.low + bounds.high), bounds.high}) {
    svg += "<line stroke=\"#8884\" x1=\"56\" x2=\"452\" y1=\"" + number(y(value), "%.1f") + "\" y2=\"" + number(y(value), "%.1f") +
           "\"/><text x=\"50\" y=\"" + number(y(value) + 4.0, "%.1f") + "\" text-anchor=\"end\">" + number(value, "%.3g") + "</text>";
  }
  svg += "<text x=\"452\" y=\"176\" text-anchor=\"end\">step " + number(bounds.max_step, "%.0f") + "</text>";
  for (size_t i = 0; i < runs.size(); ++i) {
    const auto found = runs[i].curves.find(metric);
    if (found == runs[i].curves.end()) continue;
    svg += std::string("<polyline fill=\"none\" stroke-width=\"1.6\" stroke=\"") + kColours[i % std::size(kColours)] + "\" points=\"";
    for (const auto& [step, value] : found->second) {
      svg += number(x(static_cast<double>(step)), "%.1f") + "," + number(y(value), "%.1f") + " ";
    }
    svg += "\"/>";
  }
  return svg + "</svg>";
}

std::string figure(const std::vector<RunSummary>& runs, const std::string& metric) {
  return "<figure><figcaption>" + escape(metric) + "</figcaption>" + chart(runs, metric) + "</figure>\n";
}

// The chart of a metric as a picture of its own: caption above, a legend below.
std::string picture(const std::vector<RunSummary>& runs, const std::string& metric) {
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 -22 460 226\" font-family=\"sans-serif\" font-size=\"12\" "
                    "fill=\"#888\"><text x=\"56\" y=\"-6\" font-weight=\"bold\">" + escape(short_name(metric)) + "</text>" +
                    chart(runs, metric).insert(4, " width=\"460\" height=\"180\"");
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::string x = std::to_string(56 + 200 * (i % 2));
    const std::string y = std::to_string(194 + 14 * (i / 2));
    out += "<text x=\"" + x + "\" y=\"" + y + "\" fill=\"" + kColours[i % std::size(kColours)] + "\">" + escape(runs[i].name) + "</text>";
  }
  return out + "</svg>\n";
}

std::vector<std::string> charted_metrics(const std::vector<RunSummary>& runs) {
  std::vector<std::string> metrics = all_sets(runs);
  for (const char* name : {"reward/mean", "accuracy", "length/mean", "entropy", "groups/live", "grad_norm"}) {
    if (std::any_of(runs.begin(), runs.end(), [&](const auto& run) { return run.curves.contains(name); })) metrics.emplace_back(name);
  }
  return metrics;
}

}  // namespace

std::string comparison_table(const std::vector<RunSummary>& runs, bool markdown) {
  const auto rows = table_rows(runs);
  std::vector<size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line = markdown ? "|" : "";
    for (size_t i = 0; i < rows[r].size(); ++i) {
      line += (markdown ? " " : "") + rows[r][i] + std::string(widths[i] - rows[r][i].size(), ' ') + (markdown ? " |" : "  ");
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

nlohmann::json comparison_json(const std::vector<RunSummary>& runs) {
  nlohmann::json out = {{"runs", nlohmann::json::array()}};
  for (const auto& run : runs) {
    nlohmann::json entry = {{"name", run.name},         {"steps", run.steps},
                            {"rollouts", run.rollouts}, {"tokens/completion", run.completion_tokens},
                            {"time/train", run.train_s}, {"wall_s", run.wall_s},
                            {"live_share", run.live_share}, {"memory/peak_bytes", run.peak_memory_bytes}};
    for (const auto& set : run.mean_at_k()) {
      entry["eval"][short_name(set)] = {{"first", run.first(set)}, {"last", run.last(set)}, {"best", run.best(set)}};
    }
    for (const auto& [name, curve] : run.curves) entry["curves"][name] = curve;
    out["runs"].push_back(entry);
  }
  return out;
}

std::string comparison_page(const std::vector<RunSummary>& runs) {
  std::string page =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
      "<title>grpo-train: comparison</title><style>\n"
      ":root{color-scheme:light dark;--line:#8884}body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}\n"
      "table{border-collapse:collapse}td,th{padding:.3rem .8rem;border-bottom:1px solid var(--line);text-align:left}\n"
      ".table{overflow-x:auto}.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));gap:1rem}\n"
      "figure{margin:0}figcaption{font-weight:600}svg{width:100%;height:auto}\n"
      ".key{display:inline-block;width:1em;height:.3em;margin-right:.4em;vertical-align:middle}\n"
      "</style></head><body>\n<h1>Comparison of runs</h1>\n<p>Ranked by training time; differences are against the first run "
      "named.</p>\n<div class=\"table\"><table>\n";
  const auto rows = table_rows(runs);
  for (size_t r = 0; r < rows.size(); ++r) {
    page += "<tr>";
    for (const auto& cell : rows[r]) page += (r == 0 ? "<th>" : "<td>") + escape(cell) + (r == 0 ? "</th>" : "</td>");
    page += "</tr>\n";
  }
  page += "</table></div>\n<p>";
  for (size_t i = 0; i < runs.size(); ++i) {
    page += std::string("<span class=\"key\" style=\"background:") + kColours[i % std::size(kColours)] + "\"></span>" +
            escape(runs[i].name) + " &nbsp; ";
  }
  page += "</p>\n<div class=\"charts\">\n";
  for (const auto& metric : charted_metrics(runs)) page += figure(runs, metric);
  return page + "</div></body></html>\n";
}

void write_report(const std::vector<RunSummary>& runs, const std::filesystem::path& page) {
  if (page.has_parent_path()) std::filesystem::create_directories(page.parent_path());
  io::write_file_atomic(page, comparison_page(runs));
  std::string markdown = "# Comparison of runs\n\n" + comparison_table(runs, true);
  if (const auto sets = all_sets(runs); !sets.empty()) {
    const auto image = std::filesystem::path(page).replace_extension(".svg");
    io::write_file_atomic(image, picture(runs, sets.front()));
    markdown += "\n![" + short_name(sets.front()) + "](" + image.filename().string() + ")\n";
  }
  io::write_file_atomic(std::filesystem::path(page).replace_extension(".md"), markdown);
  io::write_json(std::filesystem::path(page).replace_extension(".json"), comparison_json(runs));
}

}  // namespace grpo::report
