#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/data_facts.h"
#include "app/field_flags.h"
#include "grpo/base/error.h"
#include "grpo/data/files.h"
#include "grpo/data/inspect.h"
#include "grpo/trainer/policy.h"

namespace grpo::app {
namespace {

using Json = nlohmann::ordered_json;

struct DataOptions {
  std::vector<std::string> files, against;
  trainer::PolicyConfig model;
  std::string prompt_key, answer_key;
  bool json = false;
};

std::vector<data::SeenFile> inspect(const std::vector<std::string>& entries, const DataOptions& options) {
  std::vector<data::SeenFile> seen;
  for (const auto& entry : entries) {
    const auto files = data::expand_files(entry);
    if (files.empty()) throw base::ConfigError("no file matches " + entry);
    for (const auto& file : files) seen.push_back(data::inspect_file(file, options.prompt_key, options.answer_key));
  }
  return seen;
}

// Tokenizer and template, where lengths are to be counted in tokens.
std::optional<trainer::Policy> tokens_of(const trainer::PolicyConfig& config) {
  const bool names_template = config.chat_template.text != trainer::PolicyConfig{}.chat_template.text;
  if (config.path.empty() && names_template)
    throw base::ConfigError("--template needs --model: without one, lengths are characters of the problem");
  if (config.path.empty()) return std::nullopt;
  if (!std::filesystem::is_directory(config.path)) throw base::ConfigError("--model: no folder " + config.path);
  return trainer::load_tokenizer(config);
}

// The overlap of each file with those of --against; without --against, with each file before it.
std::vector<Json> all_overlaps(const std::vector<data::SeenFile>& files, const std::vector<data::SeenFile>& against) {
  std::vector<Json> overlaps;
  for (size_t i = 0; i < files.size(); ++i) {
    for (const auto& evaluated : against) overlaps.push_back(overlap_of(files[i], evaluated));
    for (size_t k = i + 1; against.empty() && k < files.size(); ++k) overlaps.push_back(overlap_of(files[i], files[k]));
  }
  return overlaps;
}

void run_data(const DataOptions& options) {
  const auto policy = tokens_of(options.model);
  const auto files = inspect(options.files, options), against = inspect(options.against, options);
  std::vector<Json> facts;
  for (const auto* seen : {&files, &against}) {
    for (const auto& file : *seen) facts.push_back(facts_of(file, policy ? &*policy : nullptr));
  }
  const auto overlaps = all_overlaps(files, against);
  if (options.json) {
    const Json all = {{"files", facts}, {"overlap", overlaps}};
    std::printf("%s\n", all.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
    return;
  }
  for (const auto& file : facts) std::printf("%s\n", text_of_facts(file).c_str());
  for (const auto& overlap : overlaps) std::printf("%s\n", text_of_overlap(overlap).c_str());
}

}  // namespace

void add_data(CLI::App& app) {
  auto* command = app.add_subcommand(
      "data", "What is in problem files: fields, lengths, golds, duplicates, and the overlap of several");
  auto options = std::make_shared<DataOptions>();
  command->add_option("files", options->files, "problem files, folders or patterns")->required();
  command->add_option(
      "--against", options->against,
      "evaluation sets to look for in the files; without it each file is looked for in those before it");
  command->add_option("--model", options->model.path, "model folder: lengths are then those of its tokens");
  add_flags(*command, base::fields_of(options->model), {"template"});
  command->add_option("--prompt-key", options->prompt_key, "key of the problem; default: guessed by its name");
  command->add_option("--answer-key", options->answer_key, "key of the right answer; default: guessed by its name");
  command->add_flag("--json", options->json, "print JSON instead of text");
  command->callback([options] { run_data(*options); });
}

}  // namespace grpo::app
