#include "trainer/start_plan.h"

#include <algorithm>
#include <array>
#include <vector>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/base/text.h"
#include "grpo/checkpoint/run_state.h"
#include "grpo/checkpoint/store.h"
#include "grpo/io/output_file.h"
#include "grpo/metrics/metrics_file.h"
#include "grpo/metrics/tensorboard.h"
#include "trainer/run_folder.h"

namespace grpo::trainer {
namespace fs = std::filesystem;
namespace {

constexpr std::array<const char*, 5> kResults = {"metrics.jsonl", "rollouts", "eval", "events", "checkpoints"};
constexpr std::array<const char*, 4> kOthers = {"run.json", "config.yaml", "logs", "profile"};

fs::file_status look_at(const fs::path& path) {
  std::error_code ignored;
  return fs::symlink_status(path, ignored);
}

// Whether anything has this name; a link whose target is gone counts as well.
bool is_there(const fs::path& path) { return look_at(path).type() != fs::file_type::not_found; }

std::vector<std::string> names_there(const fs::path& folder) {
  std::vector<std::string> names;
  for (const char* name : kResults) names.emplace_back(name);
  for (const char* name : kOthers) names.emplace_back(name);
  std::erase_if(names, [&](const std::string& name) { return !is_there(folder / name); });
  return names;
}

bool has_results(const fs::path& folder) {
  return std::any_of(kResults.begin(), kResults.end(), [&](const char* name) { return is_there(folder / name); });
}

bool is_inside(const fs::path& path, const fs::path& folder) {
  const auto relative = fs::weakly_canonical(path).lexically_relative(fs::weakly_canonical(folder));
  return !relative.empty() && relative != "." && *relative.begin() != "..";
}

// The first of name.1, name.2, ... that does not exist yet.
fs::path numbered(const fs::path& path) {
  for (int i = 1;; ++i) {
    const fs::path other = path.string() + "." + std::to_string(i);
    if (!is_there(other)) return other;
  }
}

// The step that a file such as rollouts/step_00000012.jsonl or eval/step_00000012_SET.jsonl belongs to; nullopt for a
// file that a run does not write.
std::optional<int64_t> step_of_file(const fs::path& path) {
  const std::string name = path.filename().string();
  const size_t length = checkpoint::step_name(0).size();
  if (path.extension() != ".jsonl" || name.size() <= length || (name[length] != '.' && name[length] != '_'))
    return std::nullopt;
  return checkpoint::step_of_name(name.substr(0, length));
}

std::vector<fs::path> files_after(const fs::path& folder, int64_t step) {
  std::vector<fs::path> later;
  if (!fs::is_directory(folder)) return later;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const auto of = step_of_file(entry.path());
    if (of && *of > step) later.push_back(entry.path());
  }
  return later;
}

// Removes files that a process left unfinished when it was killed while it wrote them.
void remove_unfinished(const fs::path& folder) {
  std::vector<fs::path> unfinished;
  for (const auto& there : {folder, folder / "events", folder / "checkpoints"}) {
    if (!fs::is_directory(there)) continue;
    for (const auto& entry : fs::directory_iterator(there)) {
      const std::string name = entry.path().filename().string();
      for (const char* stem :
           {"run.json", "config.yaml", "metrics.jsonl", "events.out.tfevents.", "last_good", "best"}) {
        if (name.starts_with(stem) && io::is_unfinished_name(name)) unfinished.push_back(entry.path());
      }
    }
  }
  for (const auto& path : unfinished) fs::remove(path);
  checkpoint::Store(folder / "checkpoints").remove_leftovers();
}

// Removes what a run wrote after the step of the checkpoint that it continues from.
void cut_back(const fs::path& folder, int64_t last_step) {
  for (const char* name : {"rollouts", "eval"}) {
    for (const auto& path : files_after(folder / name, last_step)) fs::remove(path);
  }
  metrics::cut_back(folder / "metrics.jsonl", last_step);
  metrics::cut_back_events(folder / "events", last_step);
}

void move_into(const fs::path& folder, const std::vector<fs::path>& paths) {
  if (paths.empty()) return;
  fs::create_directories(folder);
  for (const auto& path : paths) fs::rename(path, folder / path.filename());
}

// Gives each file a second name in `folder`, because the first name is removed afterwards. Where the file system has no
// hard links, the file is copied.
void keep_in(const fs::path& folder, const std::vector<fs::path>& paths) {
  if (!paths.empty()) fs::create_directories(folder);
  for (const auto& path : paths) {
    std::error_code refused;
    fs::create_hard_link(path, folder / path.filename(), refused);
    if (refused) fs::copy_file(path, folder / path.filename());
  }
}

// Keeps what came after `step` in aside.<n>/. The checkpoints are moved last, the newest first. If the process is
// killed before the last of them has moved, the run continues from a later checkpoint than `step`, and whatever is cut
// back then is in aside.<n>/ already.
void move_later_aside(const fs::path& folder, int64_t step) {
  const fs::path aside = numbered(folder / "aside");
  fs::create_directories(aside);
  for (const char* name : {"metrics.jsonl", "events"}) {
    if (fs::exists(folder / name)) fs::copy(folder / name, aside / name, fs::copy_options::recursive);
  }
  for (const char* name : {"rollouts", "eval"}) keep_in(aside / name, files_after(folder / name, step));
  const checkpoint::Store store(folder / "checkpoints");
  std::vector<fs::path> later;
  std::vector<std::string> names;
  for (const int64_t other : store.all_steps()) {
    if (other > step) later.insert(later.begin(), store.path_of(other));
  }
  for (const auto& path : later) names.push_back(path.filename().string());
  move_into(aside / "checkpoints", later);
  base::log_warning(base::concat("goes back to step ", step, ": what this run made after it is kept in ",
                                 aside.string(), " (", base::join(names, ", "),
                                 ", with their metrics, rollouts and evaluations)"));
}

// An unfinished save that could not be removed stays where the next save finds it and tries again.
std::vector<fs::path> entries_but_unfinished(const fs::path& checkpoints) {
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(checkpoints)) {
    if (!checkpoint::is_unfinished_save(entry.path().filename().string())) entries.push_back(entry.path());
  }
  return entries;
}

void move_results_aside(const fs::path& folder) {
  const fs::path aside = numbered(folder / "aside"), checkpoints = folder / "checkpoints";
  std::vector<fs::path> results, of_checkpoints;
  for (const char* name : kResults) {
    if (folder / name == checkpoints && fs::is_directory(checkpoints)) {
      of_checkpoints = entries_but_unfinished(checkpoints);
    } else if (is_there(folder / name)) {
      results.push_back(folder / name);
    }
  }
  if (results.empty() && of_checkpoints.empty()) return;
  move_into(aside, results);
  move_into(aside / "checkpoints", of_checkpoints);
  base::log_warning(base::concat("begins anew, since the earlier start left no checkpoint: what it made is kept in ",
                                 aside.string()));
}

bool is_whole(const fs::path& checkpoint) {
  try {
    checkpoint::check_whole(checkpoint);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

// Says what a user can do about a damaged checkpoint of this run.
std::string way_out(const checkpoint::Store& store, int64_t damaged) {
  auto steps = store.steps();
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    if (*step < damaged && is_whole(store.path_of(*step))) {
      return base::concat("\nNothing was changed. To continue from the newest one that is whole: --resume ",
                          store.path_of(*step).string(), " (what came after it is then moved aside)");
    }
  }
  return "\nNothing was changed. No checkpoint of this run is whole; --resume never begins anew and keeps this run "
         "under another name";
}

int64_t check_own(const checkpoint::Store& store, int64_t step) {
  const fs::path checkpoint = store.path_of(step);
  try {
    return checkpoint::check_whole(checkpoint);
  } catch (const std::exception& error) {
    throw base::CheckpointError(
        base::concat("the checkpoint ", checkpoint.string(), " is damaged: ", error.what(), way_out(store, step)));
  }
}

StartPlan plan_auto(const fs::path& folder) {
  const checkpoint::Store store(folder / "checkpoints");
  // Steps without MANIFEST are looked at too: if the newest is one of them, it must not be passed over in silence.
  const auto steps = store.all_steps();
  if (steps.empty()) return {.folder = folder, .before = has_results(folder) ? Before::kStartOver : Before::kNothing};
  const int64_t step = check_own(store, steps.back());
  return {.folder = folder, .checkpoint = store.path_of(step), .before = Before::kCutBack, .step = step};
}

// Plans a start from another run's checkpoint, for a folder that holds none yet.
StartPlan plan_from_another(const fs::path& folder, const fs::path& checkpoint) {
  if (has_results(folder)) {
    throw base::ConfigError(base::concat("--resume ", checkpoint.string(), ": the run folder ", folder.string(),
                                         " already holds another run; choose another run.name"));
  }
  return {.folder = folder, .checkpoint = checkpoint, .step = checkpoint::check_whole(checkpoint)};
}

StartPlan plan_from(const fs::path& folder, const fs::path& checkpoint) {
  if (!fs::is_directory(checkpoint)) {
    throw base::ConfigError("--resume " + checkpoint.string() +
                            ": no such folder; expected auto, never, or a checkpoint folder "
                            "such as runs/NAME/checkpoints/step_00000050");
  }
  const bool own = fs::weakly_canonical(checkpoint.parent_path()) == fs::weakly_canonical(folder / "checkpoints");
  const auto named = checkpoint::step_of_name(checkpoint.filename().string());
  if (!own || !named) return plan_from_another(folder, checkpoint);
  const checkpoint::Store store(folder / "checkpoints");
  const int64_t step = check_own(store, *named);
  const bool newest = store.all_steps().back() == step;
  return {.folder = folder,
          .checkpoint = store.path_of(step),
          .before = newest ? Before::kCutBack : Before::kGoBack,
          .step = step};
}

fs::path without_last_slash(const fs::path& path) { return path.has_filename() ? path : path.parent_path(); }

}  // namespace

fs::path folder_of(const RunConfig& run) {
  const fs::path name(run.name);
  const bool leaves = name.empty() || name.is_absolute() ||
                      std::any_of(name.begin(), name.end(),
                                  [](const fs::path& part) { return part.empty() || part == "." || part == ".."; });
  const fs::path folder = fs::path(run.output) / name;
  if (leaves || !is_inside(folder, run.output)) {
    throw base::ConfigError(base::concat("run.name \"", run.name, "\" leaves run.output ", run.output,
                                         leaves ? "" : " (a link leads out of it)",
                                         "; expected the name of a folder in it"));
  }
  return folder;
}

void check_ours(const fs::path& folder) {
  if (!is_there(folder)) return;
  if (!fs::is_directory(folder)) throw base::IoError(folder.string() + ": is a file, expected the folder of a run");
  const auto names = names_there(folder);
  if (names.empty()) return;
  if (!is_run(folder)) {
    const bool damaged = is_there(folder / "run.json");
    throw base::ConfigError(
        base::concat(folder.string(), " holds ", base::join(names, ", "), ", but ",
                     damaged ? "its run.json is none of this program's" : "no run.json",
                     ": it is not a run of this program, and nothing in it was touched. Choose another run.name or "
                     "run.output, or move it away"));
  }
  for (const auto& name : names) {
    if (!fs::is_symlink(look_at(folder / name))) continue;
    throw base::ConfigError(base::concat((folder / name).string(), " is a link to ",
                                         fs::read_symlink(folder / name).string(),
                                         ": a run writes and deletes only inside its own folder. Put the folder "
                                         "itself, by run.output, where the link leads"));
  }
}

StartPlan plan_start(const RunConfig& run, const std::string& resume) {
  const fs::path folder = folder_of(run);
  check_ours(folder);
  if (resume == "never")
    return {.folder = folder, .before = names_there(folder).empty() ? Before::kNothing : Before::kSetAside};
  return resume == "auto" ? plan_auto(folder) : plan_from(folder, without_last_slash(resume));
}

fs::path carry_out(const StartPlan& plan) {
  if (plan.before != Before::kSetAside) remove_unfinished(plan.folder);
  switch (plan.before) {
    case Before::kNothing:
      break;
    case Before::kStartOver:
      move_results_aside(plan.folder);
      break;
    case Before::kSetAside: {
      const fs::path other = numbered(plan.folder);
      fs::rename(plan.folder, other);
      base::log_info("renamed the earlier run to " + other.string());
      return other;
    }
    case Before::kGoBack:
      move_later_aside(plan.folder, plan.step);
      [[fallthrough]];
    case Before::kCutBack:
      cut_back(plan.folder, plan.step);
      break;
  }
  return plan.folder;
}

}  // namespace grpo::trainer
