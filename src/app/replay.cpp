#include "grpo/trainer/replay.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/theory_text.h"
#include "grpo/base/error.h"

namespace grpo::app {
namespace {

using Json = nlohmann::ordered_json;

struct ReplayOptions {
  trainer::ReplayOptions replay;
  std::vector<std::string> steps = {"all"};
  bool json = false;
};

std::vector<int64_t> steps_of(const std::vector<std::string>& texts) {
  if (texts == std::vector<std::string>{"all"}) return {};
  std::vector<int64_t> steps;
  for (const auto& text : texts) {
    int64_t step = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), step);
    if (error != std::errc() || end != text.data() + text.size() || step < 1)
      throw base::ConfigError("--step " + text + ": expected numbers from 1, or all");
    steps.push_back(step);
  }
  return steps;
}

Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Json facts_of(const trainer::ReplayedStep& step) {
  const auto names = trainer::replayed_algorithms();
  Json facts = {{"step", step.step},
                {"rollouts", step.rollouts},
                {"sampled", step.sampled},
                {"groups", step.groups},
                {"live", step.live}};
  for (size_t i = 0; i < names.size(); ++i) {
    facts["norm"][names[i]] = finite(step.norms[i]);
    for (size_t j = 0; j < names.size(); ++j) facts["cosine"][names[i]][names[j]] = finite(step.cosines[i][j]);
  }
  return facts;
}

std::string text_of(const Json& step) {
  std::string text =
      base::concat("step ", step.at("step").get<int64_t>(), ": ", step.at("rollouts").get<int64_t>(), " rollouts in ",
                   step.at("groups").get<int64_t>(), " groups, ", step.at("live").get<int64_t>(), " of them live");
  if (step.at("rollouts") < step.at("sampled"))
    text += base::concat(" (of the step's ", step.at("sampled").get<int64_t>(), "; logging.rollouts_per_step)");
  Rows table = {{"", "norm"}};
  for (const auto& [name, cosines] : step.at("cosine").items()) {
    table[0].push_back(name);
    table.push_back({name, number(step.at("norm").at(name), "%.4g")});
    for (const auto& [other, cosine] : cosines.items()) table.back().push_back(number(cosine, "%.4f"));
  }
  return text + "\n" + aligned(table);
}

// The mean of each cosine over all steps in which it is defined.
Json means_of(const Json& steps) {
  Json means;
  for (const auto& name : trainer::replayed_algorithms()) {
    for (const auto& other : trainer::replayed_algorithms()) {
      double sum = 0.0, count = 0.0;
      for (const auto& step : steps) {
        const auto& cosine = step.at("cosine").at(name).at(other);
        if (!cosine.is_number()) continue;
        sum += cosine.get<double>();
        count += 1.0;
      }
      means[name][other] = finite(sum / count);
    }
  }
  return means;
}

std::string text_of_means(const Json& means, size_t steps) {
  Rows table = {{""}};
  for (const auto& [name, cosines] : means.items()) {
    table[0].push_back(name);
    table.push_back({name});
    for (const auto& [other, cosine] : cosines.items()) table.back().push_back(number(cosine, "%.4f"));
  }
  return base::concat("cosines, mean over ", steps, " steps\n", aligned(table));
}

void run_replay(ReplayOptions& options) {
  options.replay.steps = steps_of(options.steps);
  Json steps = Json::array();
  for (const auto& step : trainer::replay(options.replay)) steps.push_back(facts_of(step));
  const Json means = means_of(steps);
  if (options.json) {
    std::printf("%s\n", Json({{"steps", steps}, {"mean_cosine", means}}).dump(2).c_str());
    return;
  }
  for (const auto& step : steps) std::printf("%s\n", text_of(step).c_str());
  if (steps.size() > 1) std::printf("%s", text_of_means(means, steps.size()).c_str());
}

}  // namespace

void add_replay(CLI::App& app) {
  auto* command = app.add_subcommand(
      "replay", "The gradient of a recorded step under several algorithms: norms, and the cosines between them");
  auto options = std::make_shared<ReplayOptions>();
  command->add_option("run", options->replay.run, "run folder")->required();
  command->add_option("--step", options->steps, "numbers of steps, or all: those after a checkpoint that is there")
      ->delimiter(',');
  command
      ->add_option("--at", options->replay.at,
                   "at the weights after this step instead of those that sampled: ratios are then not 1")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--device", options->replay.device, "in place of the run's model.device");
  command->add_option("--threads", options->replay.threads, "CPU threads; 0: the cores this process may use")
      ->check(CLI::Range(0, 1024));
  command->add_flag("--json", options->json, "for programs");
  command->callback([options] { run_replay(*options); });
}

}  // namespace grpo::app
