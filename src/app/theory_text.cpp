#include "app/theory_text.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "grpo/io/file.h"

namespace grpo::app {

std::string aligned(const Rows& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) text += "  " + std::string(widths[i] - row[i].size(), ' ') + row[i];
    text += "\n";
  }
  return text;
}

std::string number(const nlohmann::ordered_json& value, const char* format) {
  if (!value.is_number()) return "-";
  char text[64];
  std::snprintf(text, sizeof text, format, value.get<double>());
  return text;
}

std::string pair_text(const nlohmann::ordered_json& pair) {
  return number(pair.at(0), "%+.3f") + " " + number(pair.at(1), "%+.3f");
}

void write_plot(const std::string& folder, const std::string& name, const std::string& title,
                const std::vector<report::ChartPanel>& panels, report::ChartScale scale) {
  std::filesystem::create_directories(folder);
  io::write_file_atomic(std::filesystem::path(folder) / (name + ".svg"), report::chart_svg(name, title, panels, scale));
}

}  // namespace grpo::app
