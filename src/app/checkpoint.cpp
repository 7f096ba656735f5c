#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/exit_code.h"
#include "app/folder_draft.h"
#include "grpo/base/error.h"
#include "grpo/checkpoint/run_state.h"
#include "grpo/checkpoint/store.h"
#include "grpo/io/file_lock.h"
#include "grpo/models/causal_lm.h"
#include "grpo/models/device.h"

namespace grpo::app {
namespace {

namespace fs = std::filesystem;

struct CheckpointOptions {
  std::string folder, output;
  int64_t keep = 3;
  bool merged = false;
};

bool is_checkpoint(const fs::path& folder) {
  return fs::exists(folder / "state.json") || fs::exists(folder / "MANIFEST");
}

// The folder that holds the step_* folders: checkpoints/ of a run, or else the given folder itself.
fs::path checkpoints_of(const fs::path& folder) {
  if (!fs::is_directory(folder))
    throw base::ConfigError(folder.string() + ": no such folder; expected a run, its checkpoints/, or a checkpoint");
  return fs::is_directory(folder / "checkpoints") ? folder / "checkpoints" : folder;
}

// The folder with the name that it really has, where it is given as "step_00000050/" or ".".
fs::path with_name(const fs::path& folder) {
  if (folder.has_filename() && folder.filename() != "." && folder.filename() != "..") return folder;
  const auto whole = fs::weakly_canonical(folder);
  return whole.has_filename() ? whole : whole.parent_path();
}

std::vector<fs::path> all_of(const fs::path& folder) {
  if (fs::is_directory(folder) && is_checkpoint(folder)) return {with_name(folder)};
  const checkpoint::Store store(checkpoints_of(folder));
  std::vector<fs::path> paths;
  for (const int64_t step : store.all_steps()) paths.push_back(store.path_of(step));
  if (paths.empty())
    throw base::ConfigError(folder.string() + ": no checkpoint there; expected folders step_<8 digits>");
  return paths;
}

double megabytes(const fs::path& folder) {
  uintmax_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    bytes += entry.is_regular_file() ? entry.file_size() : 0;
  return static_cast<double>(bytes) / 1e6;
}

bool is_marked(const fs::path& checkpoint, checkpoint::Mark mark) {
  const auto step = checkpoint::Store(checkpoint.parent_path()).marked(mark);
  return step && checkpoint.filename() == checkpoint::step_name(*step);
}

void list(const CheckpointOptions& options) {
  for (const auto& path : all_of(options.folder)) {
    std::printf("%s\t%.1f MB\t%s\t%s%s%s\n", path.filename().c_str(), megabytes(path),
                !fs::exists(path / "model")                 ? "no model"
                : models::is_adapter_folder(path / "model") ? "adapters"
                                                            : "model",
                fs::exists(path / "MANIFEST") ? "complete" : "no MANIFEST",
                is_marked(path, checkpoint::Mark::kGood) ? "\tlast good" : "",
                is_marked(path, checkpoint::Mark::kBest) ? "\tbest" : "");
  }
}

// What is wrong with a checkpoint; "" if it is whole.
std::string problem_of(const fs::path& checkpoint) {
  try {
    checkpoint::check_whole(checkpoint);
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

void verify(const CheckpointOptions& options) {
  for (const auto& path : all_of(options.folder)) {
    const std::string problem = problem_of(path);
    std::printf("%s\t%s\n", path.filename().c_str(), problem.empty() ? "whole" : ("damaged: " + problem).c_str());
    if (!problem.empty()) set_exit_code(kFailed);
  }
}

// The newest checkpoint is checked before older ones are removed. If it is damaged nothing is removed,
// so that a person can look at it.
void prune(const CheckpointOptions& options) {
  if (fs::is_directory(options.folder) && is_checkpoint(options.folder)) {
    throw base::ConfigError(
        options.folder + ": is one checkpoint, and prune thins out those of a run; expected a run or its checkpoints/");
  }
  const fs::path newest = all_of(options.folder).back();
  const fs::path folder = checkpoints_of(options.folder);
  const io::FileLock lock(fs::weakly_canonical(folder).parent_path() / ".lock");  // refuses while the run goes on
  checkpoint::Store store(folder);
  checkpoint::check_whole(newest);  // also where it has no MANIFEST any more
  for (const int64_t step : store.prune(options.keep)) std::printf("removed %s\n", checkpoint::step_name(step).c_str());
}

fs::path newest_of(const fs::path& folder) { return all_of(folder).back(); }

// Writes the model that the adapters make of their base model, in the dtype that the base model has in its folder.
void write_merged(const fs::path& adapters, const fs::path& folder) {
  if (!models::is_adapter_folder(adapters))
    throw base::ConfigError(adapters.string() + ": a whole model, with no adapters to merge; leave out --merged");
  const fs::path base = models::base_folder(adapters);
  models::CausalLM::load_merged(adapters, models::stored_dtype(base), at::kCPU)->save(folder, base);
}

void write_model(const CheckpointOptions& options, const fs::path& model, const fs::path& folder) {
  try {
    if (options.merged) {
      write_merged(model, folder);
    } else {
      fs::copy(model, folder, fs::copy_options::recursive);
    }
  } catch (const fs::filesystem_error& error) {
    throw base::IoError("--output " + options.output + ": the model could not be written: " + error.code().message());
  }
}

void export_model(const CheckpointOptions& options) {
  const fs::path from = newest_of(options.folder);
  checkpoint::check_whole(from);
  if (!fs::is_directory(from / "model")) {
    throw base::CheckpointError(
        from.string() + ": no model/ (checkpoint.export_model was off); continue the run for a step with it on");
  }
  FolderDraft draft(options.output);
  write_model(options, from / "model", draft.contents());
  draft.commit();
  std::printf("%s/model %s to %s\n", from.c_str(), options.merged ? "merged" : "copied", options.output.c_str());
}

CLI::App* add(CLI::App& command, const std::shared_ptr<CheckpointOptions>& options, const char* name, const char* what,
              void (*run)(const CheckpointOptions&)) {
  auto* action = command.add_subcommand(name, what);
  action->add_option("folder", options->folder, "a run, its checkpoints/, or one checkpoint")->required();
  action->callback([options, run] { run(*options); });
  return action;
}

}  // namespace

void add_checkpoint(CLI::App& app) {
  auto* command = app.add_subcommand("checkpoint", "Look at checkpoints, check them, thin them out, export a model");
  command->require_subcommand(1);
  auto options = std::make_shared<CheckpointOptions>();
  add(*command, options, "list", "one line for each: size, model, complete", &list);
  add(*command, options, "verify", "every file against the MANIFEST; exit code 1 if one differs", &verify);
  add(*command, options, "prune", "remove all but the newest complete ones", &prune)
      ->add_option("--keep", options->keep, "how many stay (default 3)")
      ->check(CLI::Range(1, 1 << 30));
  auto* exported =
      add(*command, options, "export",
          "copy the (newest) checkpoint's model as a Hugging Face folder, or adapters as peft's", &export_model);
  exported->add_option("--output", options->output, "folder to make")->required();
  exported->add_flag("--merged", options->merged, "of adapters: write the whole model that they make of their base");
}

}  // namespace grpo::app
