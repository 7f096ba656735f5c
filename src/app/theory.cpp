#include "app/theory.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/field_flags.h"
#include "app/theory_text.h"
#include "grpo/algo/theory.h"
#include "grpo/base/error.h"
#include "grpo/base/random.h"
#include "grpo/report/chart.h"

namespace grpo::app {
namespace {

using Json = nlohmann::ordered_json;
using report::ChartLine;

struct TheoryOptions {
  algo::AdvantageConfig advantage;
  std::vector<int64_t> group_sizes = {2, 4, 8, 16, 64};
  std::vector<double> p = {0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9};
  double gain = 0.05;
  int64_t rounds = 8;
  bool json = false;
  std::string plots;
};

constexpr int64_t kTrials = 100000;

// The probability of a right answer in each round, if the policy improves by `gain` after every round.
std::vector<double> improving(double p, double gain, int64_t rounds) {
  std::vector<double> all;
  for (int64_t k = 0; k < rounds; ++k) all.push_back(std::min(1.0, p + gain * static_cast<double>(k)));
  return all;
}

// The share of trials in which one of the rounds of 2 samples finds a right answer.
double simulate(const std::vector<double>& p) {
  const base::RandomKey key{1, base::stream_id("theory")};
  int64_t found = 0;
  for (int64_t trial = 0; trial < kTrials; ++trial) {
    bool right = false;
    for (size_t k = 0; k < p.size(); ++k) {
      for (uint32_t i = 0; i < 2; ++i)
        right = right || base::uniform(key, static_cast<uint64_t>(trial), static_cast<uint32_t>(k), i) < p[k];
    }
    found += right ? 1 : 0;
  }
  return static_cast<double>(found) / static_cast<double>(kTrials);
}

Json advantages(const TheoryOptions& options) {
  Json rows = Json::array();
  for (const double p : options.p) {
    const double deviation = std::sqrt(p * (1.0 - p));
    Json row = {{"p", p}, {"difference", {1.0 - p, -p}}, {"standardised", {(1.0 - p) / deviation, -p / deviation}}};
    for (const int64_t size : options.group_sizes) {
      row["expected"][std::to_string(size)] = {algo::expected_advantage(options.advantage, p, size, true),
                                               algo::expected_advantage(options.advantage, p, size, false)};
    }
    rows.push_back(row);
  }
  return rows;
}

Json tied(const TheoryOptions& options) {
  Json rows = Json::array();
  for (const double p : options.p) {
    Json row = {{"p", p}};
    for (const int64_t size : options.group_sizes) row["tied"][std::to_string(size)] = algo::tied_probability(p, size);
    rows.push_back(row);
  }
  return rows;
}

Json rounds(const TheoryOptions& options) {
  Json rows = Json::array();
  for (int64_t m = 1; m <= options.rounds; ++m) {
    const auto p = improving(options.p.front(), options.gain, m);
    rows.push_back({{"rounds", m},
                    {"in_rounds", algo::right_in_rounds(p, 2)},
                    {"at_once", algo::right_in_rounds({p.front()}, 2 * m)},
                    {"simulated", simulate(p)}});
  }
  return {{"p", options.p.front()}, {"gain", options.gain}, {"trials", kTrials}, {"by_rounds", rows}};
}

std::string text_of(const TheoryOptions& options, const Json& facts) {
  std::string text = "Prop. 4.1: E[A | right], E[A | wrong] over all groups of G (p: probability of a right answer)\n";
  Rows table = {{"p"}};
  for (const int64_t size : options.group_sizes) table[0].push_back("G=" + std::to_string(size));
  table[0].insert(table[0].end(), {"x - p", "(x - p) / sqrt(p(1 - p))"});
  for (const auto& row : facts.at("advantage")) {
    table.push_back({number(row.at("p"), "%.2f")});
    for (const auto& [size, pair] : row.at("expected").items()) table.back().push_back(pair_text(pair));
    table.back().push_back(pair_text(row.at("difference")));
    table.back().push_back(pair_text(row.at("standardised")));
  }
  text += aligned(table) + "\nP(tied) = p^G + (1 - p)^G: the share of groups that teach nothing\n";
  table = {table[0]};
  table[0].resize(1 + options.group_sizes.size());
  for (const auto& row : facts.at("tied")) {
    table.push_back({number(row.at("p"), "%.2f")});
    for (const auto& [size, value] : row.at("tied").items()) table.back().push_back(number(value, "%.3f"));
  }
  const auto& rounds = facts.at("rounds");
  text += aligned(table) + base::concat("\nProp. 4.4: P(at least one right), p = ", rounds.at("p").get<double>(),
                                        " and ", rounds.at("gain").get<double>(), " more after each round\n");
  table = {{"m", "m rounds of 2", base::concat("simulated (", kTrials, ")"), "2m at once"}};
  for (const auto& row : rounds.at("by_rounds")) {
    table.push_back({std::to_string(row.at("rounds").get<int64_t>()), number(row.at("in_rounds"), "%.4f"),
                     number(row.at("simulated"), "%.4f"), number(row.at("at_once"), "%.4f")});
  }
  return text + aligned(table);
}

std::vector<double> between_0_and_1() {
  std::vector<double> all;
  for (int i = 1; i < 100; ++i) all.push_back(0.01 * i);
  return all;
}

void plot_advantages(const TheoryOptions& options) {
  report::ChartPanel right{.title = "E[A | right] over p", .lines = {}},
      wrong{.title = "E[A | wrong] over p", .lines = {}};
  for (const int64_t size : options.group_sizes) {
    ChartLine of_right{.name = "G = " + std::to_string(size), .points = {}}, of_wrong = of_right;
    for (const double p : between_0_and_1()) {
      const double a = algo::expected_advantage(options.advantage, p, size, true);
      const double b = algo::expected_advantage(options.advantage, p, size, false);
      of_right.points.push_back({p, a, a, a});
      of_wrong.points.push_back({p, b, b, b});
    }
    right.lines.push_back(of_right);
    wrong.lines.push_back(of_wrong);
  }
  write_plot(options.plots, "advantage", "Expected advantage of a rollout", {right, wrong});
}

void plot_tied(const TheoryOptions& options, const Json& facts) {
  report::ChartPanel tied{.title = "P(tied) over p", .lines = {}};
  for (const int64_t size : options.group_sizes) {
    tied.lines.push_back({.name = "G = " + std::to_string(size), .points = {}});
    for (const double p : between_0_and_1()) {
      const double y = algo::tied_probability(p, size);
      tied.lines.back().points.push_back({p, y, y, y});
    }
  }
  write_plot(options.plots, "tied", "Groups that teach nothing", {tied});
  report::ChartPanel panel{.title = "P(at least one right) over m",
                           .lines = {{.name = "m rounds of 2", .points = {}}, {.name = "2m at once", .points = {}}}};
  for (const auto& row : facts.at("rounds").at("by_rounds")) {
    const double m = row.at("rounds"), in_rounds = row.at("in_rounds"), at_once = row.at("at_once");
    panel.lines[0].points.push_back({m, in_rounds, in_rounds, in_rounds});
    panel.lines[1].points.push_back({m, at_once, at_once, at_once});
  }
  write_plot(options.plots, "rounds", "Small groups that come again", {panel});
}

void run_theory(const TheoryOptions& options) {
  if (algo::looks_beyond_group(options.advantage.kind))
    throw base::ConfigError("--advantage: batch_std and reinforce_pp depend on the whole step, not on a group alone");
  const Json facts = {{"advantage", advantages(options)}, {"tied", tied(options)}, {"rounds", rounds(options)}};
  std::printf("%s\n", options.json ? facts.dump(2).c_str() : text_of(options, facts).c_str());
  if (options.plots.empty()) return;
  plot_advantages(options);
  plot_tied(options, facts);
}

}  // namespace

void add_theory(CLI::App& app) {
  auto* command = app.add_subcommand(
      "theory",
      "The propositions of arXiv 2510.00977 as numbers; variance and rounds measure them on a policy and on runs");
  auto options = std::make_shared<TheoryOptions>();
  add_flags(*command, base::fields_of(options->advantage), {"advantage", "std"});
  command->add_option("--group-sizes", options->group_sizes, "sizes of groups (G)")
      ->delimiter(',')
      ->check(CLI::Range(2, 4096));
  command->add_option("--p", options->p, "probabilities of a right answer; the first is where rounds begin")
      ->delimiter(',')
      ->check(CLI::Range(1e-6, 1.0 - 1e-6));
  command->add_option("--gain", options->gain, "what a round adds to it")->check(CLI::Range(0.0, 1.0));
  command->add_option("--rounds", options->rounds, "rounds of 2, up to")->check(CLI::Range(1, 1000));
  command->add_flag("--json", options->json, "for programs");
  command->add_option("--plots", options->plots, "folder for advantage.svg, tied.svg and rounds.svg");
  command->require_subcommand(0, 1);
  add_theory_variance(*command);
  add_theory_rounds(*command);
  command->callback([command, options] {
    if (command->get_subcommands().empty()) run_theory(*options);
  });
}

}  // namespace grpo::app
