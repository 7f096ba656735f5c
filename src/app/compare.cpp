#include "grpo/report/compare.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "app/commands.h"

namespace grpo::app {
namespace {

struct CompareOptions {
  std::vector<std::string> runs;
  std::string output = "report.html";
};

void run_compare(const CompareOptions& options) {
  std::vector<report::RunSummary> runs;
  for (const auto& folder : options.runs) runs.push_back(report::read_run(folder));
  report::write_report(runs, options.output);
  std::printf("%s\n%s\n", report::comparison_text(runs).c_str(), options.output.c_str());
}

}  // namespace

void add_compare(CLI::App& app) {
  auto* command =
      app.add_subcommand("compare", "Compare runs: a page with tables, curves and rollouts, report.md and report.json");
  auto options = std::make_shared<CompareOptions>();
  command->add_option("runs", options->runs, "run folders; the first is the baseline")->required();
  command->add_option("--output", options->output, "page to write; .md and .json land beside it");
  command->callback([options] { run_compare(*options); });
}

}  // namespace grpo::app
